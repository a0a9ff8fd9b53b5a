"""MCD in one step: two label predictors that disagree on the target, and features that make them agree."""

from dataclasses import dataclass

from experiments.methods.base import Adversarial, Build, Losses, Network, Networks, Passed
from experiments.record.names import LABEL_LOSS
from grl.losses import AdversarialLoss, classifier_discrepancy_loss


@dataclass(frozen=True, kw_only=True)
class MCD(Adversarial):
    """Saito et al. (2018), with the reversal in place of three alternating steps; both predictors learn the labels."""

    name = "mcd"
    domain_weight: float = 1.0
    """Weight of the adversary's loss."""

    def heads(self, network: Network, width: int, classes: int) -> dict[str, Build]:
        return {"second_predictor": lambda: network.label_head(width, classes)}

    def adversary(self, networks: Networks, passed: Passed, alpha: float) -> AdversarialLoss:
        second = networks.heads["second_predictor"]
        return classifier_discrepancy_loss(
            networks.label_predictor,
            second,
            passed.features,
            passed.domain_labels,
            alpha,
            sources=passed.sources,
            targets=passed.targets,
        )

    def losses(self, networks: Networks, passed: Passed, **scheduled: float) -> Losses:
        losses = super().losses(networks, passed, **scheduled)
        labelled = passed.features[: len(passed.labels)]
        second_loss = self.label_loss(networks.heads["second_predictor"](labelled), passed.labels)
        label_loss = losses.label_loss + second_loss
        return Losses(losses.objective + second_loss, label_loss, losses.curves | {LABEL_LOSS: label_loss / 2})
