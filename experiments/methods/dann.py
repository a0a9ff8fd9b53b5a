"""DANN: features that do not let a domain classifier tell source from target."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from experiments.errors import unknown
from experiments.methods.base import Adversarial, Build, Network, Networks, Passed
from grl import gradient_scale
from grl.losses import AdversarialLoss, domain_adversarial_loss


@dataclass(frozen=True, kw_only=True)
class DANN(Adversarial):
    """Ganin et al. (2016), equation 9 in its reversal form (equation 18).

    domain_loss = mean binary cross entropy of source (0) against target (1), whose gradient enters the feature
    extractor times -alpha.
    """

    name = "dann"
    domain_rate: Literal["full", "alpha"] = "full"
    """The domain classifier learns at the full rate, as in the deep recipe, or at alpha times it, as in algorithm 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.domain_rate not in ("full", "alpha"):
            raise unknown("method.domain_rate", self.domain_rate, ("full", "alpha"))

    def heads(self, network: Network, width: int, classes: int) -> dict[str, Build]:
        return {"domain_classifier": lambda: network.domain_head(width)}

    def adversary(self, networks: Networks, passed: Passed, alpha: float) -> AdversarialLoss:
        classifier = networks.heads["domain_classifier"]
        if self.domain_rate == "full":
            return domain_adversarial_loss(classifier, passed.features, passed.domain_labels, alpha)

        def slowed(features: Tensor) -> Tensor:  # all that comes back behind the loss is alpha times as large
            return gradient_scale(classifier(features), alpha)

        return domain_adversarial_loss(slowed, passed.features, passed.domain_labels, 1.0)
