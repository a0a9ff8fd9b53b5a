"""DALN: the label predictor is its own critic."""

from dataclasses import dataclass

from experiments.methods.base import Adversarial, Networks, Passed
from grl.losses import AdversarialLoss, nuclear_discrepancy_loss


@dataclass(frozen=True, kw_only=True)
class DALN(Adversarial):
    """Chen et al. (2022): the difference of the nuclear norms of source and target predictions. No extra head."""

    name = "daln"
    recordable = False
    domain_weight: float = 1.0
    """Weight of the adversary's loss."""

    def adversary(self, networks: Networks, passed: Passed, alpha: float) -> AdversarialLoss:
        return nuclear_discrepancy_loss(
            networks.label_predictor,
            passed.features,
            passed.domain_labels,
            alpha,
            sources=passed.sources,
            targets=passed.targets,
        )
