"""Networks that a user brings as they are: any classifier cut at its last layer, or three modules."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from experiments.errors import BadInput
from experiments.networks.base import Network


@dataclass(frozen=True, kw_only=True)
class Cut(Network):
    """A whole classifier, cut in front of its last layer: what enters that layer are the features.

    Cut(module=build_my_classifier, layer="classifier")
    """

    name = "cut"
    module: Callable[[], nn.Module]
    """A function of a module that can be imported; it builds the classifier."""
    layer: str
    """Name of the last layer, as in `named_modules()`; it becomes the identity, and the label head takes its place."""

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        whole = self.module()
        above, _, last = self.layer.rpartition(".")
        names = [name for name, _ in whole.named_modules() if name]
        if self.layer not in names:
            raise BadInput(f"network.layer must be one of {', '.join(names)}, got {self.layer!r}")
        setattr(whole.get_submodule(above), last, nn.Identity())
        return nn.Sequential(whole, nn.Flatten())


@dataclass(frozen=True, kw_only=True)
class Parts(Network):
    """Three parts, each built by a function of a module that can be imported."""

    name = "parts"
    extractor: Callable[[], nn.Module]
    """Builds what maps inputs to features `(N, F)`."""
    label: Callable[[int, int], nn.Module] | None = None
    """Of F and the number of classes: builds the label predictor; None takes one linear layer."""
    domain: Callable[[int], nn.Module] | None = None
    """Of a width: builds the domain classifier, to logits `(N,)`; None takes one linear layer."""

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        return self.extractor()

    def label_head(self, width: int, classes: int) -> nn.Module:
        return self.label(width, classes) if self.label else super().label_head(width, classes)

    def domain_head(self, width: int) -> nn.Module:
        return self.domain(width) if self.domain else super().domain_head(width)
