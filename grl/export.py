"""The operator as `torch.export` sees it: a named op, so that an exported graph still has the factor in its backward.

A Function is traced through its forward alone, which would leave the identity and lose the reversal without a
word. As an op of its own it stays in the graph, trains as before, and an exported program opens wherever `grl` is
imported. ONNX has no backward: there the layer vanishes.
"""

from typing import Any, cast

import torch
from torch import Tensor

_library: Any = torch.library.Library("grl", "DEF")
_library.define("scale(Tensor x, Tensor factor) -> Tensor")


def _forward(x: Tensor, factor: Tensor) -> Tensor:
    return x.clone()  # an op may not return its own input


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    return (grad * ctx.saved_tensors[0]).to(grad.dtype), None


_library.impl("scale", _forward, "CompositeExplicitAutograd")
torch.library.register_autograd("grl::scale", _backward, setup_context=_setup, lib=_library)  # pyright: ignore


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
