"""CDAN: the domain classifier sees the features together with the predicted classes."""

from dataclasses import dataclass

from experiments.errors import BadInput
from experiments.methods.base import Adversarial, Build, Network, Networks, Passed
from grl.losses import AdversarialLoss, RandomisedMultilinearMap, build_multilinear_map, conditional_domain_loss


@dataclass(frozen=True, kw_only=True)
class CDAN(Adversarial):
    """Long et al. (2018): the domain loss of the outer product of features and class probabilities.

    No gradient flows into the probabilities. Where the product has more than 4,096 entries, random projections of 1,024
    stand for it, as in the paper.
    """

    name = "cdan"
    predicts = "all"
    entropy: bool = False
    """Weigh sure predictions more (CDAN+E)."""
    dimensions: int = 1024
    """Width of the random projections."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dimensions < 1:
            raise BadInput(f"method.dimensions must be >= 1, got {self.dimensions}")

    @property
    def adds_domain_loss(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The weighted mean is another loss."""
        return not self.entropy

    def heads(self, network: Network, width: int, classes: int) -> dict[str, Build]:
        joint = build_multilinear_map(width, classes, dimensions=self.dimensions)
        is_random = isinstance(joint, RandomisedMultilinearMap)
        mapped = self.dimensions if is_random else width * classes
        return {
            "multilinear_map": lambda: build_multilinear_map(width, classes, dimensions=self.dimensions),
            "domain_classifier": lambda: network.domain_head(mapped),
        }

    def adversary(self, networks: Networks, passed: Passed, alpha: float) -> AdversarialLoss:
        return conditional_domain_loss(
            networks.heads["domain_classifier"],
            passed.features,
            passed.label_logits,
            passed.domain_labels,
            alpha,
            multilinear_map=networks.heads["multilinear_map"],
            entropy_weights=self.entropy,
        )
