"""DANN: features that do not let a domain classifier tell source from target."""

from dataclasses import dataclass

from experiments.methods.base import Adversarial, Build, Network, Networks, Passed
from grl.losses import AdversarialLoss, domain_adversarial_loss


@dataclass(frozen=True, kw_only=True)
class DANN(Adversarial):
    """Ganin et al. (2016), equation 9 in its reversal form (equation 18).

    domain_loss = mean binary cross entropy of source (0) against target (1), whose gradient enters the feature
    extractor times -alpha.
    """

    name = "dann"

    def heads(self, network: Network, width: int, classes: int) -> dict[str, Build]:
        return {"domain_classifier": lambda: network.domain_head(width)}

    def adversary(self, networks: Networks, passed: Passed, alpha: float) -> AdversarialLoss:
        return domain_adversarial_loss(
            networks.heads["domain_classifier"], passed.features, passed.domain_labels, alpha
        )
