"""CDAN: the domain classifier sees the features together with the predicted classes."""

from dataclasses import dataclass

from experiments.errors import BadInput
from experiments.identity import added
from experiments.methods.base import Adversarial, Build, Network, Networks, Passed
from grl.losses import (
    AdversarialLoss,
    MultilinearMap,
    RandomisedMultilinearMap,
    build_multilinear_map,
    conditional_domain_loss,
)


@dataclass(frozen=True, kw_only=True)
class CDAN(Adversarial):
    """Long et al. (2018): the domain loss of the outer product of features and class probabilities.

    No gradient flows into the probabilities. Where the product has more than 4,096 entries, random projections of 1,024
    stand for it, as in the paper. (The authors' code projects nothing unless told.)
    """

    name = "cdan"
    predicts = "all"
    entropy: bool = False
    """Weigh sure predictions more (CDAN+E)."""
    dimensions: int = 1024
    """Width of the random projections."""
    limit: int = added(4096)
    """The widest outer product that is taken as it is."""
    entropy_gradient: bool = added(False)
    """Let the reversed gradient flow through the weights of CDAN+E, too, as in the authors' code."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("dimensions", "limit"):
            if getattr(self, name) < 1:
                raise BadInput(f"method.{name} must be >= 1, got {getattr(self, name)}")
        if self.entropy_gradient and not self.entropy:
            raise BadInput("method.entropy_gradient needs method.entropy, got entropy=False")

    @property
    def adds_domain_loss(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The weighted mean is another loss."""
        return not self.entropy

    def heads(self, network: Network, width: int, classes: int) -> dict[str, Build]:
        def join() -> MultilinearMap | RandomisedMultilinearMap:
            return build_multilinear_map(width, classes, limit=self.limit, dimensions=self.dimensions)

        mapped = width * classes if isinstance(join(), MultilinearMap) else self.dimensions
        return {"multilinear_map": join, "domain_classifier": lambda: network.domain_head(mapped)}

    def adversary(self, networks: Networks, passed: Passed, alpha: float) -> AdversarialLoss:
        return conditional_domain_loss(
            networks.heads["domain_classifier"],
            passed.features,
            passed.label_logits,
            passed.domain_labels,
            alpha,
            multilinear_map=networks.heads["multilinear_map"],
            entropy_weights=self.entropy,
            entropy_gradient=self.entropy_gradient,
        )
