"""The one operator under everything here: forward the identity, backward a multiplication by a factor."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.compiler import is_compiling

from grl.arithmetic import scale_by_arithmetic
from grl.checks import is_readable, read, require_at_least
from grl.export import export_scale


def scale(x: Tensor, factor: float | Tensor, copy: bool) -> Tensor:
    """Return `x` whose gradient will be multiplied by `factor`; the arguments are taken as checked.

    One Function in several forms, because no single one serves everywhere: the short form is about twice as fast as
    the one that `torch.func` needs. A compiled program takes a Function's first derivative alone, and all others,
    without a word, from its forward: where one of them is asked for inside, arithmetic takes its place.

    Args:
        x: any tensor of floating or complex dtype.
        factor: a number, or a tensor that broadcasts against `x`.
        copy: whether the result gets memory of its own; without it, it is a view of `x`.

    Returns:
        A tensor equal to `x`, of its shape and dtype.
    """
    transformed = torch._C._are_functorch_transforms_active()  # pyright: ignore
    if is_compiling():
        if transformed or forward_ad._current_level >= 0:  # pyright: ignore
            return scale_by_arithmetic(x, factor)
        if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
            return export_scale(x, factor)
        return _CompiledScale.apply(x, factor, copy)  # pyright: ignore
    own = copy or x.layout is not torch.strided  # a sparse tensor has no views
    if transformed:
        return _TransformableScale.apply(x, factor, own)  # pyright: ignore
    # Forward mode wants a view's tangent to be a view, which a product is not.
    own = own or forward_ad._current_level >= 0  # pyright: ignore
    if own or isinstance(factor, Tensor):
        return _ScaledNeedsCopyTrueInPlace.apply(x, factor, own)  # pyright: ignore
    return _ScaledViewNeedsCopyTrueInPlace.apply(x, factor)  # pyright: ignore


class _ScaledViewNeedsCopyTrueInPlace(Function):
    """The shortest form, for what a training step does: eager, a view, a number.

    PyTorch's message begins with this name where the view is written into: it says what to do.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * ctx.factor, None


class _ScaledNeedsCopyTrueInPlace(Function):
    """The other cases of eager execution: a copy, a tensor as factor, forward mode."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float | Tensor, copy: bool) -> Tensor:
        _keep(ctx, factor)
        return x.clone() if copy else x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _multiply(grads[0], ctx), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _multiply(tangents[0], ctx)


class _CompiledScale(Function):
    """The form `torch.compile` traces: no jvp, because it drops one."""

    @staticmethod
    def forward(x: Tensor, factor: float | Tensor, copy: bool) -> Tensor:
        return x.clone() if copy else x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _keep(ctx, inputs[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _multiply(grads[0], ctx), None, None


class _TransformableScale(_CompiledScale):
    """The form `torch.func` transforms: the compiled one with rules for forward mode and vmap."""

    generate_vmap_rule = True

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _multiply(tangents[0], ctx)


def _keep(ctx: Any, factor: float | Tensor) -> None:
    if isinstance(factor, Tensor):
        ctx.save_for_backward(factor)
        ctx.save_for_forward(factor)
        ctx.factor = None
    else:
        ctx.factor = factor


def _multiply(grad: Tensor, ctx: Any) -> Tensor:
    if ctx.factor is not None:
        if grad.is_complex() and is_compiling():  # a float times a complex tensor is compiled in
            return torch.view_as_complex(torch.view_as_real(grad.resolve_conj()) * ctx.factor)
        return grad * ctx.factor
    # A float32 factor per sample promotes a bfloat16 gradient: multiply in the wider dtype, return to the gradient's.
    return (grad * ctx.saved_tensors[0]).to(grad.dtype)


def check_factor(name: str, value: float | Tensor, x: Tensor, minimum: float, hint: str = "") -> float | Tensor:
    """Return `value` as a number, or as a tensor that broadcasts against `x`, if it is finite and at least `minimum`.

    A tensor's dimensions are the leading ones of `x`, so `(N,)` is one coefficient per sample. The values of a
    tensor are read on the CPU in eager mode alone: elsewhere that would wait for the device, and inside a trace there
    is nothing to read. There a wrong value becomes NaN, and so does the gradient.

    Args:
        name: the argument's name, for the message.
        value: a real number, or a floating tensor of one element, of shape `(N,)` or `(N, 1, ...)`.
        x: the tensor whose gradient it will multiply, `(N, ...)`.
        minimum: the least value allowed.
        hint: what to add to the message.

    Returns:
        A float where the value is known, else a tensor of the device of `x` that broadcasts against it.

    Raises:
        TypeError: if it is not a real number, or a tensor that is not floating or not dense.
        ValueError: if it is not finite, below the minimum, on another device, or of another shape.
    """
    if not isinstance(value, Tensor):
        if type(value) is float and minimum <= value < math.inf and value > -math.inf:
            return value
        return require_at_least(name, value, minimum, hint)
    if not value.is_floating_point():
        raise TypeError(f"{name} must be a real number or a floating tensor, got a tensor of {value.dtype}")
    if value.layout is not torch.strided:
        raise TypeError(f"{name} must be a dense tensor, got one of {value.layout}")
    readable = is_readable(value)
    if readable and value.numel() == 1:
        number = require_at_least(name, read(value), minimum, hint)
        if not value.requires_grad:
            return number
    if value.device != x.device:
        raise ValueError(f"{name} must be on the device of x, {x.device}, got {value.device}")
    value = _spread(name, value, x)
    if not readable:  # NaN, as nothing can be said here
        limit = torch.finfo(value.dtype).max
        return torch.where(value == value.clamp(max(minimum, -limit), limit), value, torch.nan)
    for bound in value.detach().aminmax():
        require_at_least(name, read(bound), minimum, hint)
    return value


def _spread(name: str, value: Tensor, x: Tensor) -> Tensor:
    shape = tuple(value.shape)
    if not shape:
        return value
    if all(size == 1 for size in shape):
        return value.reshape(())
    if len(shape) <= x.ndim and all(size in (1, n) for size, n in zip(shape, x.shape, strict=False)):
        return value.reshape(shape + (1,) * (x.ndim - len(shape)))
    raise ValueError(
        f"{name} must be one coefficient, or match the leading dimensions of x: (N,) or (N, 1, ...), "
        f"got {shape} for x of shape {tuple(x.shape)}"
    )
