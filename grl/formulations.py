"""The three classic ways to write gradient reversal, side by side.

They are equal in what they compute, not in what they cost or survive. `gradient_reversal` is the first one, made to
work everywhere. The others are here to be compared with, and for places where a Function of one's own is not to be
had.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from grl.reversal import gradient_reversal
from grl.scale import check_factor


def reverse_with_function(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Reverse by an autograd Function: forward x, backward -alpha · dy.

    One node in the graph, one product in the backward.

    Args:
        x: any tensor of floating or complex dtype.
        alpha: the coefficient, finite and >= 0.

    Returns:
        `x`, same shape.
    """
    return gradient_reversal(x, alpha)


def reverse_with_stop_gradient(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Reverse by arithmetic alone: y = stop(x) - alpha · (x - stop(x)), which for alpha = 1 is 2 · stop(x) - x.

    The value is exact where x is finite, because x - stop(x) is exactly 0; the textbook form (1 + alpha) · stop(x)
    - alpha · x is the same in algebra and rounds. Nothing but tensor operations, so it works in any framework; it
    costs three kernels in the forward and their memory.

    Args:
        x: any tensor of floating or complex dtype.
        alpha: the coefficient, finite and >= 0.

    Returns:
        `x`, same shape.
    """
    alpha = float(check_factor("alpha", alpha, x, 0.0))
    held = x.detach()
    return held - alpha * (x - held)


def reverse_with_hook(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Reverse by a hook on a view: the hook replaces the gradient dy of the view by -alpha · dy.

    It exists only in eager mode: a hook is not part of the function, so `torch.func` and exporters do not see it.

    Args:
        x: any tensor of floating or complex dtype.
        alpha: the coefficient, finite and >= 0.

    Returns:
        `x`, same shape.
    """
    alpha = float(check_factor("alpha", alpha, x, 0.0))
    y = x.view_as(x)
    if y.requires_grad:
        register: Callable[[Callable[[Tensor], Tensor]], Any] = y.register_hook  # pyright: ignore
        register(lambda grad: grad * -alpha)  # pyright: ignore
    return y
