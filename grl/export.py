"""The operator as `torch.export` sees it: a named op, so that an exported graph still has the factor in its backward.

A Function is traced through its forward alone, which would leave the identity and lose the reversal without a
word. As an op of its own it stays in the graph, trains as before, and an exported program opens wherever `grl` is
imported. ONNX has no backward: there the layer vanishes.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

from grl.arithmetic import scale_by_arithmetic

_library: Any = torch.library.Library("grl", "DEF")
_library.define("scale(Tensor x, Tensor factor) -> Tensor")


class _ExportedScale(Function):
    """What the op does where nothing but gradients is asked for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return x.clone()  # an op may not return its own input

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return (grads[0] * ctx.saved_tensors[0]).to(grads[0].dtype), None


def _differentiable(x: Tensor, factor: Tensor) -> Tensor:
    # An op has one rule at most, for the backward; forward mode would find zeros and transforms would fail.
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:  # pyright: ignore
        return scale_by_arithmetic(x, factor)
    if torch.is_grad_enabled() and x.requires_grad:
        return cast(Tensor, _ExportedScale.apply(x, factor))
    with torch._C._AutoDispatchBelowAutograd():  # pyright: ignore
        return cast(Tensor, torch.ops.grl.scale(x, factor))


_library.impl("scale", lambda x, factor: x.clone(), "CompositeExplicitAutograd")  # pyright: ignore
_library.impl("scale", _differentiable, "Autograd")


def export_scale(x: Tensor, factor: float | Tensor) -> Tensor:
    """Return what an exporter is to record for `scale`: nothing for ONNX, else the op that keeps the factor.

    Args:
        x: the tensor being traced.
        factor: a number, or a tensor that broadcasts against `x`.

    Returns:
        `x` itself, or the result of `torch.ops.grl.scale`.
    """
    if torch.onnx.is_in_onnx_export():
        return x
    if not isinstance(factor, Tensor):
        factor = torch.full((), factor, dtype=torch.float64)
    return cast(Tensor, torch.ops.grl.scale(x, factor))
