"""The methods: what one training step minimises.

A method is a function from networks and batches to `Losses`; the loop around it is the same for all. `source_only` has a branch
of its own that never sees a target image: with BatchNorm, "DANN with alpha 0" would be a different run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.networks import Networks
from grl import domain_loss, gradient_reversal


class Losses(NamedTuple):
    """Losses of one step, 0-d tensors in nats; the adversary's are None where there is none."""

    label_loss: Tensor
    domain_loss: Tensor | None = None
    domain_accuracy: Tensor | None = None


@dataclass(frozen=True)
class Method:
    """A method and what it needs from the loop."""

    losses: Callable[..., Losses]
    adversarial: bool
    reads: Literal["source", "source and target", "target labels"]


def source_only(networks: Networks, source: Any) -> Losses:
    """Label loss on source images; the lower anchor of every table."""
    return Losses(cross_entropy(networks.predict(source.inputs), source.labels))


def target_only(networks: Networks, target: Any) -> Losses:
    """Label loss on labelled target images; the upper anchor ("train on target"), the one method that reads target labels."""
    return Losses(cross_entropy(networks.predict(target.inputs), target.labels))


def dann(networks: Networks, source: Any, target: Any, *, alpha: float, batch_norm: str) -> Losses:
    """Domain-adversarial training, Ganin et al. (2016), equation 9 in its GRL form (equation 18).

    label_loss = mean cross entropy of the source labels; domain_loss = mean binary cross entropy of source (0) against
    target (1), whose gradient enters the feature extractor times -alpha.
    """
    count = len(source.inputs)
    if batch_norm == "joint":
        features = networks.feature_extractor(torch.cat([source.inputs, target.inputs]))  # (2n, F)
    else:
        halves = [networks.feature_extractor(half.inputs) for half in (source, target)]
        features = torch.cat(halves)
    domain_logits = networks.domain_classifier(gradient_reversal(features, alpha))  # (2n,)
    domain_labels = torch.zeros_like(domain_logits)
    domain_labels[count:] = 1
    return Losses(
        cross_entropy(networks.label_predictor(features[:count]), source.labels),
        domain_loss(domain_logits, domain_labels),
        ((domain_logits.detach() > 0) == domain_labels.bool()).float().mean(),
    )


METHODS = {
    "source_only": Method(source_only, adversarial=False, reads="source"),
    "dann": Method(dann, adversarial=True, reads="source and target"),
    "target_only": Method(target_only, adversarial=False, reads="target labels"),
}
