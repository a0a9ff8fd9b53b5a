"""The optimisers. Their learning rate is the experiment's `lr`."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import torch
from torch import Tensor

from experiments.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """Base of all optimisers."""

    name: ClassVar[str]
    weight_decay: float = 0.0
    head_rate: float = 1.0
    """All that stands behind the backbone learns at so many times the learning rate; 10 suits a pretrained one."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise BadInput(f"optimiser.weight_decay must be finite and >= 0, got {self.weight_decay}")
        if not (math.isfinite(self.head_rate) and self.head_rate > 0):
            raise BadInput(f"optimiser.head_rate must be finite and > 0, got {self.head_rate}")

    def build(self, weights: Iterable[Any], lr: float) -> torch.optim.Optimizer:
        """PyTorch's optimiser of these weights: tensors, or groups of them."""
        raise NotImplementedError

    def by_rate(self, weights: Mapping[str, Tensor], backbone: str) -> list[dict[str, Any]]:
        """The weights in groups of one learning rate, in their order; `rate` says how many times it is the usual one.

        Args:
            weights: By name, of `Networks`.
            backbone: What the names of the backbone's begin with (`Network.backbone`).
        """
        rates = groupby(weights, lambda name: 1.0 if name.startswith(backbone) else self.head_rate)
        return [{"params": [weights[name] for name in names], "rate": rate} for rate, names in rates]


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

    def build(self, weights: Iterable[Any], lr: float) -> torch.optim.Optimizer:
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
    """Adam of Kingma and Ba (2015); weight_decay is a part of the gradient."""

    name = "adam"
    beta1: float = 0.9
    beta2: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(f"optimiser.{name} must be in [0, 1), got {getattr(self, name)}")

    def build(self, weights: Iterable[Any], lr: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            weights, lr=lr, betas=(self.beta1, self.beta2), weight_decay=self.weight_decay, fused=True
        )


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Adam whose weight_decay shrinks the weights beside the gradient (Loshchilov and Hutter 2019)."""

    name = "adamw"

    def build(self, weights: Iterable[Any], lr: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            weights, lr=lr, betas=(self.beta1, self.beta2), weight_decay=self.weight_decay, fused=True
        )


OPTIMISERS: dict[str, type[Optimiser]] = {each.name: each for each in (SGD, Adam, AdamW)}


def state_by_name(optimiser: torch.optim.Optimizer, weights: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """What the optimiser remembers of each weight, by the weight's name."""
    return {name: dict(optimiser.state[weight]) for name, weight in weights.items() if weight in optimiser.state}
