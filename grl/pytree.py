"""Apply a function to one tensor, or to every tensor of a nest of tuples, lists and dictionaries."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence
from torch.utils import _pytree as pytree  # the same nests `torch.func` knows; there is no public name yet

T = TypeVar("T")


def map_tensors(function: Callable[[Tensor], Tensor], x: T) -> T:
    """Return `x` with `function` applied to every tensor that can have a gradient.

    Args:
        function: what to apply; it gets a tensor of floating or complex dtype.
        x: a tensor, a packed sequence, or a pytree of such; integer and bool tensors, numbers, strings and None in it
            stay as they are.

    Returns:
        The same structure with the results for leaves.

    Raises:
        TypeError: if a leaf is anything else, where the message says where, or none is a floating tensor.
    """
    found: list[bool] = []

    def apply(path: Any, leaf: Any) -> Any:
        if isinstance(leaf, PackedSequence):
            return leaf._replace(data=apply(path, leaf.data))
        if isinstance(leaf, Tensor) and (leaf.is_floating_point() or leaf.is_complex()):
            found.append(True)
            return function(leaf)
        if not isinstance(leaf, (Tensor, int, float, str, type(None))):
            name = "x" + pytree.keystr(path)
            raise TypeError(f"{name} must be a tensor, or x a pytree of tensors, got {type(leaf).__name__}")
        return leaf

    mapped = pytree.tree_map_with_path(apply, x, is_leaf=lambda node: isinstance(node, PackedSequence))
    if not found and pytree.tree_leaves(x):
        raise TypeError(f"x must be a tensor of floating or complex dtype, or a pytree with one in it, got {x!r:.80}")
    return mapped


def require_differentiable(name: str, x: Tensor) -> Tensor:
    """Return `x` if it has a floating or complex dtype, else raise."""
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(f"{name} must have a floating or complex dtype, got {x.dtype}")
    return x
