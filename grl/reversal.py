"""Gradient reversal, the layer of domain-adversarial training.

forward:   y = x
backward:  dx = -alpha · dy
"""

import math
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from grl.checks import require_at_least
from grl.pytree import map_tensors, require_differentiable
from grl.scale import check_factor, scale

T = TypeVar("T")

_HINT = "; for a factor of any sign use gradient_scale"


def gradient_reversal(x: T, alpha: float | Tensor = 1.0, *, copy: bool = False) -> T:
    """Return `x`; the gradient that comes back through it is multiplied by -alpha.

    forward R(x) = x, backward dR/dx = -alpha · I. Ganin et al., JMLR 17 (2016), section 4.2, where alpha is called
    lambda.

    Alpha scales only what enters the feature extractor; what stands behind the layer learns at its own pace. The
    result is a view of `x`: an in-place operation right after it raises where gradients are recorded, and writes
    into `x` where they are not, as behind `nn.Identity`. With `copy=True` it has memory of its own.

    Args:
        x: a tensor of floating or complex dtype, dense or sparse, or a pytree of such tensors; `(N, ...)`.
        alpha: the coefficient, finite and >= 0: a number, a tensor of one element, or one coefficient per sample,
            `(N,)`. A tensor's values are checked on the CPU only: on an accelerator that would wait for the
            device. Where alpha requires gradients, a second derivative sees it; the first does not depend on it.
        copy: whether the result gets memory of its own.

    Returns:
        `x`, same shape, dtype and values.

    Raises:
        TypeError: if x has an integer dtype or a leaf that is not a tensor, or alpha is neither a real number nor
            a floating tensor.
        ValueError: if alpha is not finite, negative, on another device than x, or of a shape that does not match
            the leading dimensions.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (gradient_reversal(x, 0.5) * 3).sum().backward()
    >>> x.grad
    tensor([-1.5000, -1.5000])
    """
    if isinstance(x, Tensor):
        if not (x.dtype.is_floating_point or x.dtype.is_complex):
            require_differentiable("x", x)
        if type(alpha) is not float or not 0.0 <= alpha < math.inf:  # the usual case goes straight on
            alpha = check_factor("alpha", alpha, x, 0.0, _HINT)
        return scale(x, -alpha, copy)
    return map_tensors(lambda leaf: gradient_reversal(leaf, alpha, copy=copy), x)


class GradientReversal(nn.Module):
    """`gradient_reversal` as a layer: identity forward, -alpha · dy backward.

    Alpha is a buffer: it is saved with the network, moves with it, and changes by assignment without a
    recompilation. Nothing else is kept; calling the layer changes nothing, in training and in evaluation.

    Args:
        alpha: the coefficient, finite and >= 0.
        copy: whether the result gets memory of its own instead of being a view of the input.

    Raises:
        TypeError: if alpha is not a real number.
        ValueError: if alpha is not finite or negative.

    >>> layer = GradientReversal(0.3)
    >>> layer.alpha = 0.5
    >>> layer
    GradientReversal(alpha=0.5)
    """

    alpha: Tensor

    def __init__(self, alpha: float = 1.0, *, copy: bool = False) -> None:
        super().__init__()
        self.copy = copy
        self.register_buffer("alpha", torch.zeros(()))
        self.alpha = alpha  # pyright: ignore

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "alpha" and not isinstance(value, Tensor):
            value = torch.full_like(self.alpha, require_at_least("alpha", value, 0.0, _HINT))
        super().__setattr__(name, value)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        # A network turned to bfloat16 or complex64 keeps its alpha: a coefficient follows the device, not the dtype.
        alpha = self.alpha
        super()._apply(fn, recurse)  # pyright: ignore
        if not alpha.is_meta:
            self.alpha = alpha.to(self.alpha.device)
        return self

    def forward(self, x: T) -> T:
        """Return `x`; its gradient will be multiplied by -alpha."""
        return gradient_reversal(x, self.alpha, copy=self.copy)

    def extra_repr(self) -> str:
        """Return what stands between the brackets when the layer is printed."""
        return f"alpha={self.alpha.item():g}" + (", copy=True" if self.copy else "")
