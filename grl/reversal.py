"""The gradient reversal layer: identity forward, gradient times -alpha backward."""

from typing import Any

import torch
from torch import Tensor


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * -ctx.alpha, None


def gradient_reversal(x: Tensor, alpha: float = 1.0) -> Tensor:
    """forward: y = x; backward: dx = -alpha · dy (Ganin & Lempitsky 2015, equation 7)."""
    return _Reversal.apply(x, alpha)  # pyright: ignore
