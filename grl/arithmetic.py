"""The operator as plain arithmetic, whose every derivative PyTorch knows by itself."""

import torch
from torch import Tensor


def scale_by_arithmetic(x: Tensor, factor: float | Tensor) -> Tensor:
    """Return `x` whose derivatives of every kind and order will be multiplied by `factor`.

    y = stop(x) + factor · (x - stop(x)); the bracket is 0, so the value is that of x to the bit. Where x is infinite or
    NaN the bracket would be NaN: there y = stop(x), without a derivative.

    It costs three kernels and their memory, and stands in where a rule of one's own is not asked for.

    Args:
        x: any tensor of floating or complex dtype.
        factor: a number, or a tensor that broadcasts against `x`.

    Returns:
        A tensor equal to `x`, of its shape and dtype.
    """
    held = x.detach()
    scaled = held + ((x - held) * factor).to(x.dtype)
    return torch.where(held.isfinite(), scaled, held)
