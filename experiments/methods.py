"""The methods: what one training step minimises.

A method is a function from networks and batches to `Losses`; the loop around it is the same for all. `source_only` has
a branch of its own that never sees a target image: with BatchNorm, "DANN with alpha 0" would be a different run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from datasets import Batch, DomainPair, Labelled, LabelledBatch, Unlabelled
from experiments.networks import Networks
from experiments.record import DOMAIN_ACCURACY, DOMAIN_LOSS, LABEL_LOSS
from grl.losses import AdversarialLoss, domain_adversarial_loss


class Losses(NamedTuple):
    """Losses of one step, 0-d tensors in nats; the adversary's are None where there is none."""

    label_loss: Tensor
    domain_loss: Tensor | None = None
    domain_accuracy: Tensor | None = None

    def objective(self, domain_weight: float | None) -> Tensor:
        """label_loss + domain_weight · domain_loss; the label loss alone where there is no adversary."""
        if self.domain_loss is None or domain_weight is None:
            return self.label_loss
        return self.label_loss + domain_weight * self.domain_loss

    def values(self) -> Tensor:
        """What there is of it, without gradients: `(1,)`, or `(3,)` with an adversary."""
        return torch.stack([value.detach() for value in self if value is not None])


@dataclass(frozen=True)
class Method:
    """A method and what it needs from the loop."""

    losses: Callable[..., Losses]
    adversarial: bool
    reads: Literal["source", "source and target", "target labels"]

    @property
    def curves(self) -> list[str]:
        """Names of `Losses.values`."""
        return [LABEL_LOSS, DOMAIN_LOSS, DOMAIN_ACCURACY] if self.adversarial else [LABEL_LOSS]

    def open_splits(self, pair: DomainPair) -> dict[str, Labelled | Unlabelled]:
        """The training splits it reads, by domain.

        source_only never opens the target, and only target_only asks for its labels.
        """
        match self.reads:
            case "source":
                return {"source": pair.source}
            case "source and target":
                return {"source": pair.source, "target": pair.target}
            case "target labels":
                return {"target": pair.reveal_target_labels(reader="target_only")}


def source_only(networks: Networks, source: LabelledBatch) -> Losses:
    """Label loss on source images; the lower anchor of every table."""
    return Losses(cross_entropy(networks.predict(source.inputs), source.labels))


def target_only(networks: Networks, target: LabelledBatch) -> Losses:
    """Label loss on labelled target images: the upper anchor ("train on target"), the one reader of target labels."""
    return Losses(cross_entropy(networks.predict(target.inputs), target.labels))


def dann(networks: Networks, source: LabelledBatch, target: Batch, *, alpha: float, batch_norm: str) -> Losses:
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
    domain_labels = torch.zeros(len(features), device=features.device)
    domain_labels[count:] = 1
    adversary = domain_adversarial_loss(networks.domain_classifier, features, domain_labels, alpha)
    return Losses(
        cross_entropy(networks.label_predictor(features[:count]), source.labels),
        adversary.loss,
        measure_domain_accuracy(adversary, domain_labels),
    )


def measure_domain_accuracy(adversary: AdversarialLoss, domain_labels: Tensor) -> Tensor:
    """Share of samples whose domain the adversary names rightly, 0-d; 0.5 is confusion."""
    assert adversary.domain_logits is not None  # the losses used here all have a domain classifier
    return ((adversary.domain_logits.detach() > 0) == domain_labels.bool()).float().mean()


METHODS = {
    "source_only": Method(source_only, adversarial=False, reads="source"),
    "dann": Method(dann, adversarial=True, reads="source and target"),
    "target_only": Method(target_only, adversarial=False, reads="target labels"),
}
