"""The checks every argument passes: one sentence naming the field, what was allowed and what came."""

import math
import operator
from numbers import Real

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore
from torch.compiler import is_compiling
from torch.utils._python_dispatch import _disable_current_modes  # pyright: ignore


def require_at_least(name: str, value: object, minimum: float, hint: str = "") -> float:
    """Return `value` as a float if it is finite and at least `minimum`, else raise; `hint` ends the message."""
    number = _as_float(name, value, hint)
    if minimum <= number < math.inf and number != -math.inf:
        return number
    bound = "" if minimum == -math.inf else f" and >= {minimum:g}"
    raise ValueError(f"{name} must be finite{bound}, got {number}{hint}")


def require_finite(name: str, value: object) -> float:
    """Return `value` as a float if it is a finite real number, else raise."""
    return require_at_least(name, value, -math.inf)


def require_above(name: str, value: object, bound: float) -> float:
    """Return `value` as a float if it is finite and greater than `bound`, else raise."""
    number = _as_float(name, value)
    if not bound < number < math.inf:
        raise ValueError(f"{name} must be finite and > {bound:g}, got {number}")
    return number


def require_between(name: str, value: object, low: float, high: float) -> float:
    """Return `value` as a float if it lies in [`low`, `high`], else raise."""
    number = _as_float(name, value)
    if not low <= number <= high:
        raise ValueError(f"{name} must be in [{low:g}, {high:g}], got {number}")
    return number


def _as_float(name: str, value: object, hint: str = "") -> float:
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, got {value!r}{hint}")
    try:
        return float(value)
    except OverflowError:  # an integer or a fraction may be greater than any float
        return math.inf if value > 0 else -math.inf  # pyright: ignore


def require_count(name: str, value: object, minimum: int = 1) -> int:
    """Return `value` as an int if it is an integer, NumPy's too, of at least `minimum`, else raise."""
    if isinstance(value, (bool, Tensor)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer >= {minimum}, got {value!r}")
    number = operator.index(value)  # pyright: ignore
    if number < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {number}")
    return number


def require_tensor(name: str, value: object) -> Tensor:
    """Return `value` if it is a tensor, else raise."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")
    return value


def is_readable(value: Tensor) -> bool:
    """Whether the values of a tensor can be looked at without a wait: on the CPU, in eager mode, and plain."""
    if not value.is_cpu or is_compiling() or type(value) not in _PLAIN:
        return False
    return value.numel() > 0 and not is_functorch_wrapped_tensor(value)  # pyright: ignore


_PLAIN = (Tensor, torch.nn.Parameter)


def read(value: Tensor) -> float:
    """Return the one element of a readable tensor, behind any mode that would take the reading for a computation."""
    if torch._C._len_torch_dispatch_stack() > 0:  # pyright: ignore
        with _disable_current_modes():
            return value.item()
    return value.item()


def describe(value: Tensor) -> str:
    """Return dtype and shape of a tensor, and its layout where it is not dense, for a message."""
    layout = "" if value.layout is torch.strided else f", {value.layout}"
    return f"a tensor of {value.dtype} and shape {tuple(value.shape)}{layout}"
