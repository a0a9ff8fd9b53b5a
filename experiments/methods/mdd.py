"""MDD: an adversarial classifier that agrees with the label predictor on the source and disagrees on the target."""

from dataclasses import dataclass

from experiments.errors import BadInput
from experiments.methods.base import Adversarial, Build, Network, Networks, Passed
from grl.losses import AdversarialLoss, margin_disparity_loss
from grl.presets import MDD as RAMP
from grl.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class MDD(Adversarial):
    """Zhang et al. (2019): margin · mean_source(-log p_y) + mean_target(-log(1 - p_y)), y the label predictor's."""

    name = "mdd"
    predicts = "all"
    adds_domain_loss = False
    alpha: Schedule = RAMP
    """The paper's reversal: half way to 0.1 after 1,100 steps, whatever the length of the training."""
    domain_weight: float = 1.0
    """Weight of the adversary's loss."""
    margin: float = 4.0
    """Weight of the source term, the paper's gamma = exp(rho)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.margin < float("inf"):
            raise BadInput(f"method.margin must be finite and > 0, got {self.margin}")

    def heads(self, network: Network, width: int, classes: int) -> dict[str, Build]:
        return {"adversary": lambda: network.label_head(width, classes)}

    def adversary(self, networks: Networks, passed: Passed, alpha: float) -> AdversarialLoss:
        return margin_disparity_loss(
            networks.heads["adversary"],
            passed.features,
            passed.label_logits,
            passed.domain_labels,
            alpha,
            margin=self.margin,
            sources=passed.sources,
            targets=passed.targets,
        )
