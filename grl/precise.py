"""The same computation in double precision, whatever it was written in."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_WIDE = {
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float32: torch.float64,
    torch.complex64: torch.complex128,
}


class Widen(TorchDispatchMode):
    """Inside, every operation takes narrower floating tensors as double, and casts to them lead to double.

    A tensor keeps its double for as long as the mode lasts, so that what is written into it is read back.
    """

    def __init__(self) -> None:
        super().__init__()  # pyright: ignore
        self._doubles: dict[int, tuple[Tensor, Tensor]] = {}  # the narrow one is held: its id must stay its own

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named: dict[str, Any] = kwargs or {}
        return func(*map(self._widen, args), **{name: self._widen(each) for name, each in named.items()})

    def _widen(self, leaf: Any) -> Any:
        if isinstance(leaf, list | tuple):  # pytree's walk took a third of an examination; operators nest no deeper
            return [self._widen(each) for each in cast("Sequence[Any]", leaf)]
        if isinstance(leaf, torch.dtype):
            return _WIDE.get(leaf, leaf)
        if not isinstance(leaf, Tensor) or leaf.dtype not in _WIDE:
            return leaf
        if id(leaf) not in self._doubles:
            self._doubles[id(leaf)] = leaf, leaf.to(_WIDE[leaf.dtype])
        return self._doubles[id(leaf)][1]


@contextmanager
def stand_in(networks: Sequence[nn.Module], *, wide: bool) -> Generator[None]:
    """Put copies in the place of all parameters and buffers while the block lasts, in double precision if `wide`.

    Whoever calls the networks inside, a closure of the user's too, computes with the copies; the originals stay out
    of reach and come back to the same bits.

    Args:
        networks: modules; what they share stays shared.
        wide: whether floating copies are double.

    Yields:
        Nothing.
    """
    modules = list(dict.fromkeys(module for network in networks for module in network.modules()))
    kept = [
        (module, dict(module._parameters), dict(module._buffers), _plain_tensors(module))  # pyright: ignore
        for module in modules
    ]
    copies: dict[Tensor, Tensor] = {}

    def copy(tensor: Tensor) -> Tensor:
        if tensor not in copies:
            dtype = _WIDE.get(tensor.dtype, tensor.dtype) if wide else tensor.dtype
            value = tensor.detach().to(dtype, copy=True)
            is_parameter = isinstance(tensor, nn.Parameter)
            copies[tensor] = nn.Parameter(value, requires_grad=tensor.requires_grad) if is_parameter else value
        return copies[tensor]

    try:
        for module, parameters, buffers, _ in kept:
            for name, tensor in parameters.items():
                if tensor is not None:
                    setattr(module, name, copy(tensor))  # not the table: recurrent layers list their weights twice
            for name, tensor in buffers.items():
                module._buffers[name] = None if tensor is None else copy(tensor)  # pyright: ignore
        yield
    finally:
        for module, parameters, buffers, plain in kept:
            for name, tensor in parameters.items():
                setattr(module, name, tensor)
            for name, tensor in buffers.items():
                module._buffers[name] = tensor  # pyright: ignore
            vars(module).update(plain)


def _plain_tensors(module: nn.Module) -> dict[str, Any]:
    """Return the tensors a module holds as plain attributes, such as the weight a hook computes anew each time."""
    return {name: value for name, value in vars(module).items() if isinstance(value, Tensor)}
