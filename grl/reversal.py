"""Gradient reversal, the layer of domain-adversarial training.

forward:   y = x
backward:  dx = -alpha · dy
"""

import math

import torch
from torch import Tensor, nn

from grl.scale import scale


def gradient_reversal(x: Tensor, alpha: float | Tensor = 1.0, *, copy: bool = False) -> Tensor:
    """Return `x` unchanged, and multiply the gradient that comes back by -alpha."""
    if isinstance(alpha, Tensor):
        return scale(x, -alpha.detach(), copy)
    if not 0.0 <= alpha < math.inf:
        raise ValueError(f"alpha must be finite and >= 0, got {alpha}; for other factors use gradient_scale")
    return scale(x, -alpha, copy)


class GradientReversal(nn.Module):
    """`gradient_reversal` as a layer; alpha is a buffer."""

    alpha: Tensor

    def __init__(self, alpha: float = 1.0, *, copy: bool = False) -> None:
        super().__init__()
        self.copy = copy
        self.register_buffer("alpha", torch.tensor(float(alpha)))

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`; its gradient will be multiplied by -alpha."""
        return gradient_reversal(x, self.alpha, copy=self.copy)
