"""A multilayer perceptron for features of any dimension: what is trained where nothing else was chosen."""

from dataclasses import dataclass

from torch import nn

from experiments.errors import BadInput
from experiments.networks.base import Network


@dataclass(frozen=True, kw_only=True)
class MLP(Network):
    """Layers of ReLU units on features `(D,)`; linear label head, a domain classifier with one hidden layer."""

    name = "mlp"
    version = 2
    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer; the last is the width of the features."""
    dropout: float = 0.0
    """Share of units dropped after each hidden layer."""

    def __post_init__(self) -> None:
        if not self.hidden or min(self.hidden) < 1:
            raise BadInput(f"network.hidden must be layers of >= 1 unit, got {self.hidden}")
        if not 0 <= self.dropout < 1:
            raise BadInput(f"network.dropout must be in [0, 1), got {self.dropout}")

    @property
    def together(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As in `Network`; Dropout's masks are not stacked."""
        return 1 if self.dropout else 8

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if len(shape) != 1:
            raise self.refuse(shape, "features (D,)")
        layers: list[nn.Module] = []
        for width, units in zip((shape[0], *self.hidden), self.hidden, strict=False):
            layers += [nn.Linear(width, units), nn.ReLU()]
            layers += [nn.Dropout(self.dropout)] if self.dropout else []
        return nn.Sequential(*layers)

    def domain_head(self, width: int) -> nn.Module:
        units = self.hidden[-1]  # also where a method's adversary sees more than the features (CDAN: F · C)
        return nn.Sequential(nn.Linear(width, units), nn.ReLU(), nn.Linear(units, 1), nn.Flatten(0))
