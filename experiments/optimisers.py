"""The optimisers. Their learning rate is the experiment's `lr`."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from experiments.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """Base of all optimisers."""

    name: ClassVar[str]
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise BadInput(f"optimiser.weight_decay must be finite and >= 0, got {self.weight_decay}")

    def build(self, weights: Iterable[Tensor], lr: float) -> torch.optim.Optimizer:
        """PyTorch's optimiser of these weights."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class SGD(Optimiser):
    """Stochastic gradient descent with momentum."""

    name = "sgd"
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise BadInput(f"optimiser.momentum must be in [0, 1), got {self.momentum}")
        if self.nesterov and not self.momentum:
            raise BadInput("optimiser.nesterov needs momentum > 0, got momentum=0")

    def build(self, weights: Iterable[Tensor], lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            weights,
            lr=lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=True,
        )


@dataclass(frozen=True, kw_only=True)
class Adam(Optimiser):
    """Adam of Kingma and Ba (2015); with weight_decay, the decay is decoupled (AdamW, Loshchilov and Hutter 2019)."""

    name = "adam"
    beta1: float = 0.9
    beta2: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(f"optimiser.{name} must be in [0, 1), got {getattr(self, name)}")

    def build(self, weights: Iterable[Tensor], lr: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            weights, lr=lr, betas=(self.beta1, self.beta2), weight_decay=self.weight_decay, fused=True
        )


OPTIMISERS: dict[str, type[Optimiser]] = {each.name: each for each in (SGD, Adam)}


def state_by_name(optimiser: torch.optim.Optimizer, weights: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """What the optimiser remembers of each weight, by the weight's name."""
    return {name: dict(optimiser.state[weight]) for name, weight in weights.items() if weight in optimiser.state}
