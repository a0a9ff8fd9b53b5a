"""The conformance table: what gradient reversal must survive, for each kind of tensor.

Each row is a function of a `Kind` that raises if the layer fails. The reference is the layer written as plain
arithmetic, stop(x) · (1 + alpha) - alpha · x, under the same transform; for first gradients it is -alpha times the
gradient without any layer.

The module holds alpha in float32 whatever its network's dtype, so it is compared with the alpha that it holds.

    python -m tests.support.conformance          run every cell and rewrite the table in README.md
"""

import copy
import io
import pickle
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from grl import GradientReversal, gradient_reversal
from tests.support.combinations import DERIVATIVES, FORMS, judge, render_combinations

ALPHA = 0.3
README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- conformance:begin -->", "<!-- conformance:end -->"


@dataclass(frozen=True)
class Kind:
    """One column: a dtype, or a sparse layout in float32."""

    name: str
    dtype: torch.dtype
    sparse: bool = False

    def draw(self, *shape: int) -> Tensor:
        """Return a leaf that requires gradients, the same numbers every time."""
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        if self.dtype.is_complex:
            x = torch.complex(x, x.flip(0))
        x = x.to(self.dtype)
        if self.sparse:
            x = (x * (x > 0)).to_sparse()
        return x.requires_grad_()

    def before(self, x: Tensor) -> Tensor:
        """What stands in front of the layer."""
        return x * 2.0 if self.sparse else x * x

    def after(self, y: Tensor) -> Tensor:
        """What stands behind the layer: to a real number."""
        dense = y.to_dense() if y.is_sparse else y
        weight = torch.linspace(0.5, 1.5, dense.shape[-1]).to(dense.dtype)
        value = dense * dense * weight
        return value.abs().sum() if self.dtype.is_complex else value.sum()

    def compare(self, measured: Tensor, expected: Tensor) -> None:
        """Raise unless both agree within a few roundings of the dtype."""
        assert measured.shape == expected.shape, (measured.shape, expected.shape)
        assert measured.dtype == expected.dtype, (measured.dtype, expected.dtype)
        if measured.is_sparse:
            measured, expected = measured.to_dense(), expected.to_dense()
        assert expected.abs().sum() > 0, "a reference of zeros proves nothing"
        scale = expected.abs().max().item()
        tolerance = 16 * torch.finfo(self.dtype).eps
        torch.testing.assert_close(measured, expected, rtol=tolerance, atol=tolerance * scale)


KINDS = [
    Kind("float32", torch.float32),
    Kind("float64", torch.float64),
    Kind("bfloat16", torch.bfloat16),
    Kind("float16", torch.float16),
    Kind("complex64", torch.complex64),
    Kind("sparse", torch.float32, sparse=True),
]

Layer = Callable[..., Tensor]


def arithmetic(x: Tensor, alpha: float | Tensor = ALPHA) -> Tensor:
    """The reference: reversal as plain arithmetic."""
    return x.detach() * (1 + alpha) - x * alpha


def layer(x: Tensor, alpha: float | Tensor = ALPHA) -> Tensor:
    """The layer under test."""
    return gradient_reversal(x, alpha)


def compose(kind: Kind, reverse: Layer) -> Callable[[Tensor], Tensor]:
    """Return x -> a real number, with `reverse` in the middle."""
    return lambda x: kind.after(reverse(kind.before(x)))


def compare_under(kind: Kind, transform: Callable[[Callable[[Tensor], Tensor]], Tensor]) -> None:
    """Raise unless a transform of the function with the layer gives what it gives with arithmetic."""
    kind.compare(transform(compose(kind, layer)), transform(compose(kind, arithmetic)))


def check_gradient(kind: Kind) -> None:
    x = kind.draw(4, 3)
    (plain,) = torch.autograd.grad(compose(kind, lambda y: y)(x), x)
    for alpha in (ALPHA, 2.0, torch.tensor(ALPHA, dtype=torch.float64), torch.full((4,), ALPHA, dtype=torch.float64)):
        if kind.sparse and isinstance(alpha, Tensor) and alpha.ndim:
            continue  # PyTorch multiplies sparse by dense only where their shapes are equal
        kind.compare(layer(x, alpha).detach(), x.detach())
        (grad,) = torch.autograd.grad(compose(kind, lambda y, a=alpha: layer(y, a))(x), x)
        kind.compare(grad, plain * -(alpha if isinstance(alpha, float) else ALPHA))


def check_double_backward(kind: Kind) -> None:
    def second(function: Callable[[Tensor], Tensor]) -> Tensor:
        x = kind.draw(4, 3)
        (grad,) = torch.autograd.grad(function(x), x, create_graph=True)
        dense = grad.to_dense() if grad.is_sparse else grad
        return torch.autograd.grad((dense * dense).abs().sum(), x)[0]

    compare_under(kind, second)


def check_func_grad(kind: Kind) -> None:
    compare_under(kind, lambda f: torch.func.grad(f)(kind.draw(4, 3).detach()))


def check_vmap(kind: Kind) -> None:
    compare_under(kind, lambda f: torch.func.vmap(torch.func.grad(f))(kind.draw(4, 3).detach()))


def check_vmap_over_alpha(kind: Kind) -> None:
    x, alphas = kind.draw(4, 3).detach(), torch.tensor([0.0, 0.3, 2.0])

    def sweep(reverse: Layer) -> Tensor:
        return torch.func.vmap(lambda a: torch.func.grad(compose(kind, lambda y: reverse(y, a.to(y.real.dtype))))(x))(
            alphas
        )

    kind.compare(sweep(layer), sweep(arithmetic))


def check_jvp(kind: Kind) -> None:
    x = kind.draw(4, 3).detach()
    tangent = x * 3.0
    compare_under(kind, lambda f: torch.func.jvp(f, (x,), (tangent,))[1])
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, tangent)
        kind.compare(torch.autograd.forward_ad.unpack_dual(layer(dual)).tangent, -ALPHA * tangent)


def check_jacrev(kind: Kind) -> None:
    x = kind.draw(4, 3).detach()
    kind.compare(*(torch.func.jacrev(lambda v, r=r: r(kind.before(v)).real)(x) for r in (layer, arithmetic)))


def check_jacfwd(kind: Kind) -> None:
    x = kind.draw(4, 3).detach()
    kind.compare(*(torch.func.jacfwd(lambda v, r=r: r(kind.before(v)))(x) for r in (layer, arithmetic)))


def check_hessian(kind: Kind) -> None:
    compare_under(kind, lambda f: torch.func.hessian(f)(kind.draw(4, 3).detach()))


def compile_counting(function: Callable[..., Tensor]) -> tuple[Callable[..., Tensor], list[torch.fx.GraphModule]]:
    """Return the compiled function and the list to which each of its forward graphs is added."""
    from torch._dynamo.backends.common import aot_autograd
    from torch._functorch.aot_autograd import make_boxed_func

    graphs: list[torch.fx.GraphModule] = []

    def keep(module: torch.fx.GraphModule, inputs: object) -> Callable[..., object]:
        graphs.append(module)
        return make_boxed_func(module.forward)

    backend = aot_autograd(fw_compiler=keep, bw_compiler=lambda module, inputs: make_boxed_func(module.forward))
    torch._dynamo.reset()
    return torch.compile(function, backend=backend, fullgraph=True), graphs


def check_compile(kind: Kind) -> None:
    compiled, graphs = compile_counting(compose(kind, layer))
    x = kind.draw(4, 3)
    expected = torch.autograd.grad(compose(kind, layer)(x), x)[0]
    kind.compare(torch.autograd.grad(compiled(x), x)[0], expected)
    compiled, plain = compile_counting(compose(kind, lambda y: y))
    compiled(x)
    assert count_kernels(graphs[0]) == count_kernels(plain[0]), "the layer has a kernel of its own in the forward"


def count_kernels(graph: torch.fx.GraphModule) -> int:
    """Return how many nodes of a graph compute something: views and names are free."""
    free = ("aten.view", "aten.alias", "aten.detach", "aten.reshape")
    return sum(node.op == "call_function" and not str(node.target).startswith(free) for node in graph.graph.nodes)


def check_recompiles(kind: Kind) -> None:
    x = kind.draw(2, 3)
    module = GradientReversal()

    def with_module(x: Tensor, alpha: object) -> Tensor:
        return kind.after(module(x))

    def with_argument(x: Tensor, alpha: float | Tensor) -> Tensor:
        return kind.after(gradient_reversal(x, alpha))

    (plain,) = torch.autograd.grad(kind.after(x), x)
    for form, allowed in (("tensor", 1), ("module", 1), ("float", 2)):
        compiled, graphs = compile_counting(with_module if form == "module" else with_argument)
        for k in range(1, 1001):
            alpha = k / 1000
            if form == "module":
                module.alpha = alpha
            loss = compiled(x, torch.tensor(alpha) if form == "tensor" else alpha)
            if k % 100 == 1:
                held = float(torch.tensor(alpha)) if form != "float" else alpha
                kind.compare(torch.autograd.grad(loss, x)[0], plain * -held)
        assert len(graphs) <= allowed, f"{len(graphs)} graphs for alpha as {form}"


def check_in_place(kind: Kind) -> None:
    x = kind.draw(4, 3)
    before = kind.before(x)
    kept = before.detach().clone()
    y = gradient_reversal(before, ALPHA)
    if not kind.sparse:  # a sparse tensor has no views: the layer copies it
        try:
            y.mul_(3.0)
        except RuntimeError:
            pass
        else:
            raise AssertionError("an in-place operation on the view passed")
        kind.compare(before.detach(), kept)
    (plain,) = torch.autograd.grad(kind.after(kind.before(x) * 3.0), x)
    y = gradient_reversal(before, ALPHA, copy=True)
    y.mul_(3.0)
    kind.compare(before.detach(), kept)
    kind.compare(torch.autograd.grad(kind.after(y), x)[0], plain * -ALPHA)


def check_autocast(kind: Kind) -> None:
    x = kind.draw(4, 3)
    weight = torch.linspace(-1, 1, 6).reshape(3, 2).to(kind.dtype)

    def run(reverse: Layer) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = reverse(kind.before(x))
            assert y.dtype == kind.dtype
            z = (y.to_dense() if kind.sparse else y) @ weight
        return torch.autograd.grad(z.float().sum() if not z.is_complex() else z.abs().sum(), x)[0]

    kind.compare(run(layer), run(lambda y: y) * -ALPHA)


def check_checkpointing(kind: Kind) -> None:
    x = kind.draw(4, 3)
    (plain,) = torch.autograd.grad(compose(kind, lambda y: y)(x), x)
    for reentrant in (False, True):
        y = torch.utils.checkpoint.checkpoint(lambda v: layer(kind.before(v)), x, use_reentrant=reentrant)
        x.grad = None
        kind.after(y).backward()
        kind.compare(x.grad, plain * -ALPHA)


def check_ddp(kind: Kind) -> None:
    from tests.support.ddp import run_ddp

    if kind.sparse:
        raise TypeError("DDP takes no sparse parameters")
    outcome = run_ddp()[kind.name]
    assert outcome == "right", outcome


class _Between(nn.Module):
    """The smallest network around the layer that exporters take."""

    def __init__(self, kind: Kind, reverse: nn.Module) -> None:
        super().__init__()
        weight = Kind("weight", kind.dtype).draw(3, 3).detach()
        self.first, self.second = nn.Parameter(weight), nn.Parameter(weight.flip(0).clone())
        self.reverse = reverse
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        return self.reverse(x @ self.first) @ self.second


def check_export(kind: Kind) -> None:
    x = kind.draw(4, 3).detach()
    network = _Between(kind, GradientReversal(ALPHA))
    plain = _Between(kind, nn.Identity())
    (expected,) = torch.autograd.grad(plain(x).abs().sum(), plain.first)
    for strict in (False, True):
        for mode in (True, False):
            exported = torch.export.export(network.train(mode), (x,), strict=strict).module()
            (grad,) = torch.autograd.grad(exported(x).abs().sum(), dict(exported.named_parameters())["first"])
            kind.compare(grad, expected * -network.reverse.alpha.item())


def check_onnx(kind: Kind) -> None:
    import onnxruntime

    x = kind.draw(4, 3).detach()
    network = _Between(kind, GradientReversal(ALPHA))

    def convert(reverse: nn.Module) -> bytes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own deprecations
            program = torch.onnx.export(
                _Between(kind, reverse).eval(), (x,), dynamo=True, verbose=False, input_names=["x"]
            )
        assert program is not None
        ops = [node.op_type for node in program.model_proto.graph.node]
        assert ops.count("MatMul") >= 2, ops
        found.append(ops)
        return program.model_proto.SerializeToString()

    found: list[list[str]] = []
    convert(nn.Identity())
    model = convert(network.reverse)
    assert found[0] == found[1], f"the layer leaves nodes behind: {found[1]}"
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    dense = x.to_dense() if kind.sparse else x
    (y,) = session.run(None, {"x": (torch.view_as_real(dense) if dense.is_complex() else dense).numpy()})
    z = torch.from_numpy(y)
    kind.compare(torch.view_as_complex(z) if dense.is_complex() else z, network(x).detach())


def _check_survives(kind: Kind, restore: Callable[[GradientReversal], GradientReversal]) -> None:
    module = GradientReversal(ALPHA)
    if not kind.dtype.is_complex:  # PyTorch warns about modules turned complex
        module.to(kind.dtype)
    restored = restore(module)
    assert restored is not module
    x = kind.draw(4, 3)
    (plain,) = torch.autograd.grad(kind.after(x), x)
    kind.compare(torch.autograd.grad(kind.after(restored(x)), x)[0], plain * -float(torch.tensor(ALPHA)))


def check_state_dict(kind: Kind) -> None:
    def restore(module: GradientReversal) -> GradientReversal:
        file = io.BytesIO()
        torch.save(module.state_dict(), file)
        file.seek(0)
        other = GradientReversal(1.0)
        other.load_state_dict(torch.load(file, weights_only=True))
        return other

    _check_survives(kind, restore)


def check_deepcopy(kind: Kind) -> None:
    _check_survives(kind, copy.deepcopy)


def check_pickle(kind: Kind) -> None:
    _check_survives(kind, lambda module: pickle.loads(pickle.dumps(module)))


ROWS: dict[str, Callable[[Kind], None]] = {
    "gradient": check_gradient,
    "double backward": check_double_backward,
    "`torch.func.grad`": check_func_grad,
    "`vmap`": check_vmap,
    "`vmap` over alpha": check_vmap_over_alpha,
    "`jvp`": check_jvp,
    "`jacrev`": check_jacrev,
    "`jacfwd`": check_jacfwd,
    "`hessian`": check_hessian,
    "`torch.compile` fullgraph": check_compile,
    "1,000 alphas, no recompile": check_recompiles,
    "in-place operation after it": check_in_place,
    "autocast bfloat16": check_autocast,
    "activation checkpointing": check_checkpointing,
    "DDP, one and two forwards": check_ddp,
    "`torch.export` keeps it": check_export,
    "ONNX drops it": check_onnx,
    "`state_dict`": check_state_dict,
    "`deepcopy`": check_deepcopy,
    "pickle": check_pickle,
}

_SPARSE_TRANSFORMS = "`torch.func` and forward mode do not take sparse tensors."
_SPARSE_COMPILE = "`torch.compile` does not take sparse tensors."
_COMPLEX = "`torch.func` has no Jacobian of a complex input."
UNDEFINED: dict[tuple[str, str], str] = {
    **{(row, "sparse"): _SPARSE_TRANSFORMS for row in ("`vmap`", "`vmap` over alpha", "`jvp`")},
    **{
        (row, kind): reason
        for row in ("`jacrev`", "`jacfwd`", "`hessian`")
        for kind, reason in (("complex64", _COMPLEX), ("sparse", _SPARSE_TRANSFORMS))
    },
    **{(row, "sparse"): _SPARSE_COMPILE for row in ("`torch.compile` fullgraph", "1,000 alphas, no recompile")},
    ("DDP, one and two forwards", "sparse"): "DDP does not take sparse parameters.",
    ("ONNX drops it", "bfloat16"): "onnxruntime does not multiply bfloat16 matrices on the CPU.",
}
"""Cells that the other side does not define, with the reason; the tests see to it that they fail without the layer
too."""


def render_table() -> str:
    """Return the table as Markdown."""
    lines = ["| | " + " | ".join(kind.name for kind in KINDS) + " |", "| --- |" + " :-: |" * len(KINDS)]
    notes: list[str] = []
    for row in ROWS:
        cells = []
        for kind in KINDS:
            reason = UNDEFINED.get((row, kind.name))
            if reason is not None and reason not in notes:
                notes.append(reason)
            cells.append("✓" if reason is None else f"–<sup>{notes.index(reason) + 1}</sup>")
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    footnotes = "\n".join(f"<sup>{k}</sup> {note}  " for k, note in enumerate(notes, 1))
    return "\n".join(lines) + f"\n\n{footnotes}\n\n{render_combinations()}"


def main() -> int:
    """Run every cell; rewrite the table if all are as declared."""
    wrong = []
    for row, check in ROWS.items():
        marks = []
        for kind in KINDS:
            try:
                check(kind)
                fine = True
            except Exception as error:
                fine, why = False, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            declared = (row, kind.name) not in UNDEFINED
            marks.append("✓" if fine else "–" if not declared else "✗")
            if fine != declared:
                wrong.append(f"{row} × {kind.name}: " + ("works now, but is declared undefined" if fine else why))
        print(f"{row:32}" + " ".join(f"{mark:>3}" for mark in marks), flush=True)
    for name in DERIVATIVES:
        for form in FORMS:
            try:
                judge(form, name)
            except Exception as error:
                wrong.append(f"{name} × {form}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    for line in wrong:
        print(line)
    if wrong:
        return 1
    text = README.read_text()
    if BEGIN not in text or END not in text:
        print(render_table())
        print(f"README.md has no {BEGIN} … {END}: put the table above between them", file=sys.stderr)
        return 1
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    README.write_text(f"{head}{BEGIN}\n{render_table()}{END}{tail}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
