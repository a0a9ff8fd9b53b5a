"""The doctor's look at an adversary before the first step: at the very term that the method will minimise."""

from typing import cast

import torch
from torch import Tensor

from datasets import DomainPair
from experiments.methods import Adversarial, Losses, Method, Passed
from experiments.networks import Networks
from experiments.training.evaluation import sample
from grl.doctor import Verdict, examine
from grl.losses import domain_loss
from grl.obstacles import as_in_training

EXAMINED_BATCH = 64  # samples per domain


def examine_method(method: Method, networks: Networks, pair: DomainPair, mean: Tensor, steps: int) -> Verdict | None:
    """The verdict on how these networks will be trained; None where the method has no reversal.

    What the method adds to the label loss is examined as the method computes it, with its own heads. Label logits stay
    as they are while the features are moved, as a method that conditions on them holds them fixed. The reference is the
    base's: the adversary must lower the binary cross entropy of its own domain logits.
    """
    if not isinstance(method, Adversarial):
        return None
    source, target = (sample(split, EXAMINED_BATCH) for split in (pair.source, pair.target))
    inputs = [_network_inputs(split.inputs, mean) for split in (source, target)]
    labels = source.labels.to(mean.device)
    alpha = method.scheduled(0.0, 0)

    with as_in_training([networks], mean.device), torch.no_grad():
        first = networks.feature_extractor(torch.cat(inputs))
        frozen = networks.label_predictor(first if method.predicts == "all" else first[: len(labels)])

    def pass_on(features: Tensor, domain_labels: Tensor, at: float) -> Losses:
        passed = Passed(features, frozen, labels, domain_labels)
        return method.losses(networks, passed, **{**alpha, "alpha": cast(float, at)})

    def adversarial(features: Tensor, domain_labels: Tensor, at: float) -> Tensor:
        losses = pass_on(features, domain_labels, at)
        return losses.objective - losses.label_loss

    def plain(features: Tensor, domain_labels: Tensor) -> Tensor:
        losses = pass_on(features, domain_labels, 1.0)
        if method.adds_domain_loss and losses.domain_logits is not None:
            return domain_loss(losses.domain_logits.double(), domain_labels)
        return losses.objective - losses.label_loss

    def reference(features: Tensor, domain_labels: Tensor) -> Tensor:
        domain_logits = pass_on(features, domain_labels, 1.0).domain_logits
        assert domain_logits is not None
        return domain_loss(domain_logits, domain_labels)

    with as_in_training([networks], mean.device), torch.no_grad():
        passed = pass_on(first, torch.arange(len(first), device=mean.device) >= len(labels), 1.0)
    return examine(
        networks.feature_extractor,
        networks.heads if len(networks.heads) else networks.label_predictor,
        *inputs,
        alpha=alpha["alpha"],
        adversarial_loss=adversarial,
        plain_loss=plain,
        reference_loss=None if passed.domain_logits is None else reference,
        schedule=method.alpha,
        steps=steps,
    )


def _network_inputs(inputs: Tensor, mean: Tensor) -> Tensor:
    # As a batch is: images (N, C, H, W) in [0, 1], less the mean.
    if inputs.dtype != torch.uint8:
        return inputs.to(mean.device) - mean
    return (inputs.to(mean.device).float() / 255 - mean).movedim(-1, 1)
