"""Every form a program may take, with every derivative PyTorch can ask of it.

The judge is the layer written as plain arithmetic, in eager mode. `torch.func` does not look through checkpoints, so
there autograd is asked for the same numbers.
"""

import copy
import functools
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from grl import GradientReversal, gradient_reversal

ALPHA = 0.3
Function = Callable[[Tensor], Tensor]


def arithmetic(x: Tensor) -> Tensor:
    """The judge: reversal as plain arithmetic."""
    return x.detach() * (1 + ALPHA) - x * ALPHA


LAYERS: dict[str, Callable[[Tensor], Tensor]] = {
    "function": lambda x: gradient_reversal(x, ALPHA),
    "function, tensor": lambda x: gradient_reversal(x, torch.tensor(ALPHA, dtype=torch.float64)),
    "module": GradientReversal(torch.tensor(ALPHA, dtype=torch.float64)),
}


class Network(nn.Module):
    """x -> a vector, with a layer in the middle."""

    def __init__(self, layer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x * x).sin() * torch.arange(1, 4, dtype=x.dtype)


def draw() -> Tensor:
    """Return where derivatives are taken, `(3,)`."""
    return torch.tensor([0.5, -1.0, 1.5], dtype=torch.float64)


def total(network: Function) -> Function:
    return lambda x: network(x).sum()


def double(network: Function) -> Function:
    return grad(lambda x: grad(total(network))(x).square().sum())


DERIVATIVES: dict[str, Callable[[Function], Function]] = {
    "grad": lambda network: grad(total(network)),
    "grad of grad": double,
    "jvp": lambda network: lambda x: jvp(network, (x,), (x.flip(0),))[1],
    "jacrev": lambda network: jacrev(network),
    "jacfwd": lambda network: jacfwd(network),
    "hessian": lambda network: hessian(total(network)),
    "vmap of grad": lambda network: lambda x: vmap(grad(total(network)))(torch.stack([x, x.flip(0)])),
}


def _leaf(network: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    return x, network(x)


def _autograd(network: Function, x: Tensor) -> Tensor:
    x, y = _leaf(network, x)
    return torch.autograd.grad(y.sum(), x)[0]


def _autograd_twice(network: Function, x: Tensor) -> Tensor:
    x, y = _leaf(network, x)
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return torch.autograd.grad(first.square().sum(), x)[0]


def _forward_mode(network: Function, x: Tensor) -> Tensor:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(network(forward_ad.make_dual(x, x.flip(0)))).tangent


def _batched(network: Function, x: Tensor) -> Tensor:
    grads = [_leaf(network, row) for row in (x, x.flip(0))]
    ones = torch.ones(1, 3, dtype=x.dtype)
    return torch.cat([torch.autograd.grad(y, row, ones, is_grads_batched=True)[0] for row, y in grads])


BY_AUTOGRAD: dict[str, Callable[[Function], Function]] = {
    "grad": lambda network: lambda x: _autograd(network, x),
    "grad of grad": lambda network: lambda x: _autograd_twice(network, x),
    "jvp": lambda network: lambda x: _forward_mode(network, x),
    "jacrev": lambda network: lambda x: torch.autograd.functional.jacobian(network, x),
    "jacfwd": lambda network: jacfwd(network),
    "hessian": lambda network: lambda x: torch.autograd.functional.hessian(total(network), x),
    "vmap of grad": lambda network: lambda x: _batched(network, x),
}
"""The same numbers without `torch.func` but for `jacfwd`."""


def run_eager(network: nn.Module, name: str) -> Tensor:
    found = DERIVATIVES[name](network)(draw())
    torch.testing.assert_close(BY_AUTOGRAD[name](network)(draw()), found)
    return found


def run_compiled(network: nn.Module, name: str) -> Tensor:
    torch._dynamo.reset()
    return torch.compile(DERIVATIVES[name](network), backend="aot_eager", fullgraph=True)(draw())


def run_exported(network: nn.Module, name: str) -> Tensor:
    exported = torch.export.export(network, (draw(),))
    found = run_eager(exported.module(), name)
    torch.testing.assert_close(run_eager(exported.run_decompositions().module(), name), found)
    return found


def run_checkpointed(network: nn.Module, name: str) -> Tensor:
    def checkpointed(x: Tensor) -> Tensor:
        return torch.utils.checkpoint.checkpoint(network, x, use_reentrant=False)

    return BY_AUTOGRAD[name](checkpointed)(draw())


def run_vmapped(network: nn.Module, name: str) -> Tensor:
    first, second = vmap(DERIVATIVES[name](network))(torch.stack([draw(), draw().flip(0)]))
    torch.testing.assert_close(second, DERIVATIVES[name](network)(draw().flip(0)))
    return first


class _Derived(nn.Module):
    def __init__(self, graphs: list[nn.Module]) -> None:
        super().__init__()
        self.graphs = nn.ModuleList(graphs)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [graph(x) for graph in self.graphs]


def run_inductor(network: nn.Module) -> dict[str, Tensor]:
    """Return all derivatives of a network from one program of AOTInductor, which holds them as plain operations."""
    graphs = [make_fx(derive(copy.deepcopy(network)))(draw()) for derive in DERIVATIVES.values()]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own deprecations
        program = torch.export.export(_Derived(graphs), (draw(),))
        file = torch._inductor.aoti_compile_and_package(program, package_path=str(Path(folder) / "network.pt2"))
        found = torch._inductor.aoti_load_package(file)(draw())
    return dict(zip(DERIVATIVES, found, strict=True))


@functools.cache
def _run_inductor_once() -> dict[str, Tensor]:
    return run_inductor(Network(LAYERS["module"]))


FORMS: dict[str, Callable[[nn.Module, str], Tensor]] = {
    "eager": run_eager,
    "`torch.compile`": run_compiled,
    "`torch.export`": run_exported,
    "AOTInductor": lambda network, name: _run_inductor_once()[name],
    "checkpoint": run_checkpointed,
    "`vmap`": run_vmapped,
}


def judge(form: str, name: str) -> None:
    """Raise unless a form gives the derivative that arithmetic has in eager mode, for each way to call the layer."""
    expected = run_eager(Network(arithmetic), name)
    assert expected.abs().sum() > 0, "a reference of zeros proves nothing"
    for layer in LAYERS.values():
        torch.testing.assert_close(FORMS[form](Network(layer), name), expected)


def render_combinations() -> str:
    """Return the table as Markdown."""
    lines = ["| float64 | " + " | ".join(FORMS) + " |", "| --- |" + " :-: |" * len(FORMS)]
    lines += [f"| {name} |" + " ✓ |" * len(FORMS) for name in DERIVATIVES]
    return "\n".join(lines) + "\n\n" + NOTE + "\n"


NOTE = (
    "Derivatives inside a compiled program, or of an exported one. Of a compiled function, from outside, PyTorch "
    "refuses `torch.func`, forward mode and a second backward, and so with this layer in it."
)
