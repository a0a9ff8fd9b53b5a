"""The one operator under everything here: forward the identity, backward a multiplication by a factor."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad


def scale(x: Tensor, factor: float | Tensor, copy: bool) -> Tensor:
    """Return `x` whose gradient will be multiplied by `factor`; arguments are taken as checked.

    Three twins of one Function, because no single form serves everywhere: the short form is about twice as fast as the one that
    `torch.func` needs, and `torch.compile` refuses a Function with a `jvp` of its own.

    Args:
        x: any tensor of floating or complex dtype.
        factor: a number, or a tensor that broadcasts against `x`.
        copy: whether the result gets memory of its own; without it, it is a view of `x`.

    Returns:
        A tensor equal to `x`, of its shape and dtype.
    """
    if torch.compiler.is_compiling():
        return _CompiledScale.apply(x, factor, copy)  # type: ignore[no-any-return]
    # A view that carries a tangent must have a view for tangent, which a product is not.
    copy = copy or forward_ad._current_level >= 0 or x.layout is not torch.strided
    if torch._C._are_functorch_transforms_active():
        return _TransformableScale.apply(x, factor, copy)  # type: ignore[no-any-return]
    return _Scale.apply(x, factor, copy)  # type: ignore[no-any-return]


class _Scale(Function):
    """The fast form, for plain eager execution."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float | Tensor, copy: bool) -> Tensor:
        _keep(ctx, factor)
        return x.clone() if copy else x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _multiply(grads[0], _recall(ctx)), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _multiply(tangents[0], _recall(ctx))


class _CompiledScale(Function):
    """The form `torch.compile` traces: no jvp."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, factor: float | Tensor, copy: bool) -> Tensor:
        return x.clone() if copy else x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _keep(ctx, inputs[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _multiply(grads[0], _recall(ctx)), None, None


class _TransformableScale(_CompiledScale):
    """The form `torch.func` transforms: the same with a jvp."""

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _multiply(tangents[0], _recall(ctx))


def _keep(ctx: Any, factor: float | Tensor) -> None:
    if isinstance(factor, Tensor):
        ctx.save_for_backward(factor)
        ctx.save_for_forward(factor)
        ctx.factor = None
    else:
        ctx.factor = factor


def _recall(ctx: Any) -> float | Tensor:
    return ctx.saved_tensors[0] if ctx.factor is None else ctx.factor


def _multiply(grad: Tensor, factor: float | Tensor) -> Tensor:
    # A float32 factor per sample would promote a bfloat16 gradient: multiply in the wider type, then return to the gradient's.
    return (grad * factor).to(grad.dtype)
