"""The shallow network of Ganin et al. (2016), section 5.1: one layer of sigmoid units, linear heads."""

from dataclasses import dataclass

from torch import nn

from experiments.errors import BadInput
from experiments.networks.base import Network


@dataclass(frozen=True, kw_only=True)
class Shallow(Network):
    """One hidden layer on features such as word counts."""

    name = "shallow"
    together = 128
    first_layer = "feature_extractor.0.weight"
    hidden: int = 50
    """Sigmoid units; the paper tried 50 and 100."""

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise BadInput(f"network.hidden must be >= 1, got {self.hidden}")

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if len(shape) != 1:
            raise self.refuse(shape, "features (D,)")
        return nn.Sequential(nn.Linear(shape[0], self.hidden), nn.Sigmoid())
