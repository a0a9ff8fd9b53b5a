"""Other things to do to a gradient while the forward pass stays as it is."""

import math
from typing import TypeVar

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from grl.pytree import map_tensors, require_differentiable
from grl.scale import check_factor, scale

T = TypeVar("T")


def gradient_scale(x: T, factor: float | Tensor, *, copy: bool = False) -> T:
    """Return `x`; the gradient that comes back through it is multiplied by `factor`.

    forward y = x, backward dx = factor · dy. Factors between 0 and 1 slow what stands before it, 0 stops it,
    -alpha reverses it.

    Args:
        x: a tensor of floating or complex dtype, dense or sparse, or a pytree of such tensors; `(N, ...)`.
        factor: any finite number, a tensor of one element, or one factor per sample, `(N,)`.
        copy: whether the result gets memory of its own instead of being a view of `x`.

    Returns:
        `x`, same shape, dtype and values.

    Raises:
        TypeError: if x has an integer dtype or a leaf that is not a tensor, or factor is not a real number or
            floating tensor.
        ValueError: if factor is not finite, on another device than x, or does not match the leading dimensions of x.

    >>> import torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> gradient_scale(x, -0.25).sum().backward()
    >>> x.grad
    tensor([-0.2500, -0.2500])
    """
    if isinstance(x, Tensor):
        return _scale(require_differentiable("x", x), factor, copy)
    if hasattr(type(x), "__torch_function__"):  # as in `gradient_reversal`
        return handle_torch_function(gradient_scale, (x,), x, factor, copy=copy)
    return map_tensors(lambda leaf: _scale(leaf, factor, copy), x)


def _scale(x: Tensor, factor: float | Tensor, copy: bool) -> Tensor:
    return scale(x, check_factor("factor", factor, x, -math.inf), copy)


def add_gradient(f: Tensor, g: Tensor) -> Tensor:
    """Return the value of `f` with the gradient of `f + g`.

    forward y = f, backward dy = df + dg, by y = f + (g - stop(g)). The bracket is exactly 0 where g is finite.

    Args:
        f: gives the value and a gradient, any shape.
        g: gives a gradient only; of a shape that broadcasts to that of `f`.

    Returns:
        A tensor equal to `f`, of its shape.

    Raises:
        ValueError: if `g` does not broadcast to the shape of `f`.

    >>> import torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> y = add_gradient(x**2, x**3)
    >>> y.backward()
    >>> y.item(), x.grad.item()  # 2x + 3x²
    (9.0, 33.0)
    """
    if has_torch_function((f, g)):
        return handle_torch_function(add_gradient, (f, g), f, g)
    trailing = f.shape[f.ndim - g.ndim :]
    if g.ndim > f.ndim or any(size not in (1, n) for size, n in zip(g.shape, trailing, strict=True)):
        raise ValueError(f"g must broadcast to the shape of f, {tuple(f.shape)}, got {tuple(g.shape)}")
    return f + (g - g.detach())
