"""The doctor's look at an adversary before the first step: at the very term that the method will minimise."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from datasets import DomainPair, by_domain, one_pass
from experiments.experiment import Experiment
from experiments.methods import Adversarial, Losses, Passed
from experiments.methods.dann import DANN
from experiments.networks import Networks
from experiments.training.evaluation import sample
from grl.doctor import Verdict, examine
from grl.losses import domain_loss
from grl.obstacles import as_in_training

EXAMINED_BATCH = 64  # samples per domain


def examine_method(experiment: Experiment, networks: Networks, pair: DomainPair, mean: Tensor) -> Verdict | None:
    """The verdict on how these networks will be trained; None where the method has no reversal.

    What the method adds to the label loss is examined as the method computes it, with its own heads. Label logits stay
    as they are while the features are moved, as a method that conditions on them holds them fixed. The reference is the
    base's: the adversary must lower the binary cross entropy of its own domain logits; where it has none, the loss that
    it reports.
    """
    method = experiment.method
    if not isinstance(method, Adversarial):
        return None
    if isinstance(method, DANN):  # a classifier that is slowed on purpose is no finding
        method = replace(method, domain_rate="full")
    crop, device = experiment.augment.crop, mean.device
    source, target = (
        next(one_pass(sample(split, EXAMINED_BATCH), EXAMINED_BATCH, mean=mean, crop=crop, device=device))
        for split in (pair.source, pair.target)
    )
    sources, targets = (len(by_domain(split)) for split in (pair.source, pair.target))
    last = sources + targets - 1  # of several domains the first source stands for all, and the last target
    inputs, labels, scheduled = (source.inputs, target.inputs), source.labels, method.scheduled(0.0, method.warm_up)

    with as_in_training([networks], device), torch.no_grad():
        first = networks.feature_extractor(torch.cat(inputs))
        frozen = networks.label_predictor(first if method.predicts == "all" else first[: len(labels)])

    def pass_on(features: Tensor, domain_labels: Tensor, at: float) -> Losses:
        passed = Passed(features, frozen.to(features.dtype), labels, last * domain_labels, sources, targets)
        return method.losses(networks, passed, **{**scheduled, "alpha": at})

    def tell(logits: Tensor, domain_labels: Tensor) -> Tensor:
        return domain_loss(logits, domain_labels if logits.ndim == 1 else last * domain_labels)

    def adversarial(features: Tensor, domain_labels: Tensor, at: float) -> Tensor:
        losses = pass_on(features, domain_labels, at)
        return losses.objective - losses.label_loss

    def plain(features: Tensor, domain_labels: Tensor) -> Tensor:
        losses = pass_on(features, domain_labels, 1.0)
        if method.adds_domain_loss and losses.domain_logits is not None:
            return tell(losses.domain_logits, domain_labels)
        return losses.objective - losses.label_loss

    def reference(features: Tensor, domain_labels: Tensor) -> Tensor:
        if (logits := pass_on(features, domain_labels, 1.0).domain_logits) is not None:
            return tell(logits, domain_labels)
        passed = Passed(features, frozen.to(features.dtype), labels, last * domain_labels, sources, targets)
        return method.adversary(networks, passed, 1.0).loss

    # What stands behind the reversal: the method's heads, and the label predictor where that is its own critic.
    with as_in_training([networks], device):
        domain_labels = torch.tensor([0.0, 1.0]).repeat_interleave(torch.tensor([*map(len, inputs)])).to(device)
        losses = pass_on(first, domain_labels, 1.0)
        added, weights = losses.objective - losses.label_loss, list(networks.label_predictor.parameters())
        slopes = torch.autograd.grad(added, weights, allow_unused=True) if added.requires_grad else ()
    critics = [networks.label_predictor] if any(slope is not None for slope in slopes) else []
    has_reference = losses.domain_logits is not None or method.has_adversary
    return examine(
        networks.feature_extractor,
        nn.ModuleList([*critics, *networks.heads.values()]),
        *inputs,
        alpha=scheduled["alpha"],
        adversarial_loss=adversarial,
        plain_loss=plain,
        reference_loss=reference if has_reference else None,
        schedule=method.alpha,
        steps=experiment.steps,
    )
