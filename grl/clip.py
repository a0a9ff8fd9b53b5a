"""An identity that limits the gradient coming back through it."""

from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.compiler import is_compiling
from torch.overrides import handle_torch_function

from grl.checks import require_above
from grl.pytree import map_tensors

T = TypeVar("T")


def gradient_clip(x: T, max_norm: float) -> T:
    """Return `x`; the gradient that comes back through it is shortened to `max_norm` where it is longer.

    forward y = x, backward dx = dy · min(1, max_norm / ‖dy‖), the norm taken over the whole tensor, in float32 or
    wider. In front of a reversal, `gradient_reversal(gradient_clip(features, 0.1), alpha)`, it limits what the domain
    classifier can do to the features, whatever alpha is.

    The backward is not linear in dy, so there is no forward mode; that is refused, and so is what a compiled or an
    exported program could not keep.

    Args:
        x: a tensor of floating or complex dtype, or a pytree with such tensors, each of which is limited by itself.
        max_norm: the greatest norm, finite and > 0.

    Returns:
        `x`, same structure, shapes, dtypes and values; a view.

    Raises:
        TypeError: if x holds no floating tensor, or max_norm is not a real number.
        ValueError: if max_norm is out of range.
        RuntimeError: inside `torch.export`, or where a compiled program asks `torch.func` for a derivative.

    >>> x = torch.ones(4, requires_grad=True)
    >>> (gradient_clip(x, 1.0) * 3).sum().backward()
    >>> x.grad
    tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """
    max_norm = require_above("max_norm", max_norm, 0.0)
    if not isinstance(x, Tensor) and hasattr(type(x), "__torch_function__"):  # as in `gradient_reversal`
        return handle_torch_function(gradient_clip, (x,), x, max_norm)
    if torch.onnx.is_in_onnx_export():
        return x
    if is_compiling():
        if torch.compiler.is_exporting():
            raise RuntimeError("gradient_clip cannot be exported: the program would lose it; leave it out of the model")
        if torch._C._are_functorch_transforms_active():  # pyright: ignore
            raise RuntimeError("gradient_clip cannot be differentiated by torch.func inside torch.compile")
    return map_tensors(lambda leaf: cast(Tensor, _Clip.apply(leaf, max_norm)), x)


class _Clip(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, max_norm: float) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.max_norm = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return (grads[0] * _shorten(grads[0], ctx.max_norm)).to(grads[0].dtype), None


def _shorten(grad: Tensor, max_norm: float) -> float | Tensor:
    """Return min(1, max_norm / ‖grad‖), which has a derivative at 0, and no square in it overflows."""
    if not grad.numel():
        return 1.0
    wide = grad.abs().to(torch.promote_types(grad.abs().dtype, torch.float32))
    # In units of a power of two, so that no digit is lost.
    unit = wide.detach().amax().clamp(1.0, torch.finfo(wide.dtype).max / 4.0).log2().floor().exp2()
    total, limit = (wide / unit).square().sum(), max_norm / unit
    fits = total.sqrt() <= limit
    return torch.where(fits, 1.0, limit * torch.where(fits, 1.0, total).sqrt().reciprocal())
