"""A small network for two numbers a sample; not the paper's 15 sigmoid units (see `recipes/moons.py`)."""

from dataclasses import dataclass

from torch import nn

from experiments.networks.base import Network


@dataclass(frozen=True, kw_only=True)
class Moons(Network):
    """Two hidden layers of 32 ReLU units, and a domain classifier with one."""

    name = "moons"
    together = 80

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if shape != (2,):
            raise self.refuse(shape, "inputs of shape (2,)")
        return nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())

    def domain_head(self, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))
