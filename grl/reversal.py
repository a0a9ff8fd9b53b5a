"""Gradient reversal, the layer of domain-adversarial training.

forward:   y = x
backward:  dx = -alpha · dy
"""

import math
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function

from grl.checks import describe, is_readable, read, require_at_least
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
        x: a tensor of floating or complex dtype, dense or sparse, `(N, ...)`, or a pytree of such tensors, packed
            sequences too; integers, numbers, strings and None in it stay as they are.
        alpha: the coefficient, finite and >= 0: a number, a tensor of one element, or one coefficient per sample,
            `(N,)`. A tensor's values are checked on the CPU in eager mode; elsewhere, where that would wait for the
            device or cannot be, a wrong one makes the gradient NaN. Where alpha requires gradients, a second
            derivative sees it; the first does not depend on it.
        copy: whether the result gets memory of its own.

    Returns:
        `x`, same shape, dtype and values.

    Raises:
        TypeError: if x has an integer dtype, holds no floating tensor or anything else, or alpha is neither a real
            number nor a floating tensor.
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
    if hasattr(type(x), "__torch_function__"):  # what stands for a tensor, as while a graph is traced symbolically
        return handle_torch_function(gradient_reversal, (x,), x, alpha, copy=copy)
    return map_tensors(lambda leaf: gradient_reversal(leaf, alpha, copy=copy), x)


class GradientReversal(nn.Module):
    """`gradient_reversal` as a layer: identity forward, -alpha · dy backward.

    Alpha is a buffer: it is saved with the network, moves with it, and changes by assignment without a
    recompilation. Nothing else is kept; calling the layer changes nothing, in training and in evaluation.

    Args:
        alpha: the coefficient, finite and >= 0: a number, or a floating tensor of one element.
        copy: whether the result gets memory of its own instead of being a view of the input.

    Raises:
        TypeError: if alpha is neither a real number nor such a tensor, or is to be learnt: `gradient_reversal` takes
            those.
        ValueError: if alpha is not finite or negative. What is written into the buffer later is checked at each
            call on the CPU; elsewhere, where that would wait for the device, the gradient becomes NaN.

    >>> layer = GradientReversal(0.3)
    >>> layer.alpha = 0.5
    >>> layer
    GradientReversal(alpha=0.5)
    """

    alpha: Tensor
    _start: float

    def __init__(self, alpha: float | Tensor = 1.0, *, copy: bool = False) -> None:
        super().__init__()
        self.copy = copy
        self.register_buffer("alpha", torch.zeros(()))
        self.alpha = alpha  # pyright: ignore
        self._start = float(alpha) if not isinstance(alpha, Tensor) or is_readable(alpha) else 1.0

    def reset_parameters(self) -> None:
        """Set alpha to what the layer was made with, as after `to_empty`."""
        self.alpha.fill_(self._start)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "alpha":
            value = _check_alpha(value, self.alpha)
        super().__setattr__(name, value)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        # A network turned to bfloat16 or complex64 keeps its alpha: a coefficient follows the device, not the dtype.
        alpha = self.alpha
        super()._apply(fn, recurse)  # pyright: ignore
        if alpha.is_meta and not self.alpha.is_meta:
            self.reset_parameters()
        elif not alpha.is_meta:
            self._buffers["alpha"] = alpha.to(self.alpha.device)
        return self

    def _load_from_state_dict(self, state_dict: Any, prefix: Any, *args: Any, **kwargs: Any) -> None:
        # A network from before it had the layer has no alpha to give: the present one stays.
        loaded = state_dict.setdefault(prefix + "alpha", self.alpha)
        _check_alpha(loaded, self.alpha)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)  # pyright: ignore

    def forward(self, x: T) -> T:
        """Return `x`; its gradient will be multiplied by -alpha."""
        alpha: Any = self._buffers["alpha"]
        if alpha.numel() != 1:  # as `functional_call` can put it there
            _check_alpha(alpha, alpha)
        # Read anew each time, so that whatever is written into the buffer is seen; a symbolic trace keeps the buffer.
        if isinstance(x, Tensor) and is_readable(alpha) and not alpha.requires_grad:
            alpha = read(alpha)
        return gradient_reversal(x, alpha, copy=self.copy)

    def extra_repr(self) -> str:
        """Return what stands between the brackets when the layer is printed."""
        has_value = type(self.alpha) is Tensor and not self.alpha.is_meta
        alpha = f"{self.alpha.item():g}" if has_value else "?"
        return f"alpha={alpha}" + (", copy=True" if self.copy else "")


def _check_alpha(value: object, buffer: Tensor) -> Tensor:
    """Return what may take the place of the buffer: a number as a tensor like it, or a tensor of one element."""
    if not isinstance(value, Tensor):
        return torch.full_like(buffer, require_at_least("alpha", value, 0.0, _HINT), requires_grad=False)
    if not value.is_floating_point() or value.numel() != 1 or value.layout is not torch.strided:
        raise TypeError(f"alpha must be a real number or a floating tensor of one element, got {describe(value)}")
    if value.requires_grad:
        raise TypeError("alpha must not require gradients in the layer, which keeps it; gradient_reversal takes it so")
    if is_readable(value):
        require_at_least("alpha", read(value), 0.0, _HINT)
    return value.reshape(())
