"""Apply a function to one tensor, or to every tensor of a nest of tuples, lists and dictionaries."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor
from torch.utils import _pytree as pytree  # the same nests `torch.func` knows; there is no public name yet

T = TypeVar("T")


def map_tensors(function: Callable[[Tensor], Tensor], x: T) -> T:
    """Return `x` with `function` applied to every leaf.

    Args:
        function: what to apply; it gets a tensor of floating or complex dtype.
        x: a tensor, or a pytree whose leaves are such tensors.

    Returns:
        The same structure with the results for leaves.

    Raises:
        TypeError: if a leaf is not a tensor, or of an integer or bool dtype; the message says where.
    """

    def apply(path: Any, leaf: object) -> Tensor:
        name = "x" + pytree.keystr(path)
        if not isinstance(leaf, Tensor):
            raise TypeError(f"{name} must be a tensor, or x a pytree of tensors, got {type(leaf).__name__}")
        return function(require_differentiable(name, leaf))

    return pytree.tree_map_with_path(apply, x)


def require_differentiable(name: str, x: Tensor) -> Tensor:
    """Return `x` if it has a floating or complex dtype, else raise."""
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(f"{name} must have a floating or complex dtype, got {x.dtype}")
    return x
