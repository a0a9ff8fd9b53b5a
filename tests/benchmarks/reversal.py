"""What the layer costs: forward and backward, against the bare floor and against other ways to write it.

    python -m tests.benchmarks.reversal
    PYTHONPATH=where/they/are python -m tests.benchmarks.reversal    with two published packages beside it

Ratios are to a bare Function: a view forward, one product backward, no check. Every round runs each contestant once in
a row, so that a busy machine troubles all alike; medians over the rounds. The published packages are
pytorch-revgrad and torch-gradient-reversal, which need not be installed.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from grl import GradientReversal, gradient_reversal
from grl.formulations import reverse_with_hook, reverse_with_stop_gradient
from grl.scale import _TransformableScale

SHAPES = [(64, 256), (128, 768), (128, 2048), (4096, 4096)]
ALPHA = 0.5


class PlainMul(torch.autograd.Function):
    """The fastest form found in other libraries: a view forward, one product backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * -ctx.alpha, None


class NegMul(torch.autograd.Function):
    """The commonest form: neg, then a product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.neg() * ctx.alpha, None


class Copying(torch.autograd.Function):
    """A copy in the forward and neg in the backward, as several repositories have it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.neg() * ctx.alpha, None


class TensorAlpha(torch.autograd.Function):
    """Alpha kept as a tensor of the input's kind and saved for backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        ctx.save_for_backward(x, torch.tensor(alpha))
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        _, alpha = ctx.saved_tensors
        return -alpha * grad, None


class PlainModule(nn.Module):
    """The bare Function as a layer, with a number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = ALPHA

    def forward(self, x: Tensor) -> Tensor:
        return PlainMul.apply(x, self.alpha)


def find_published() -> list[tuple[str, nn.Module]]:
    """Return the layers of the published packages that are there."""
    names = {"pytorch_revgrad": "RevGrad", "gradient_reversal": "GradientReversalLayer"}
    return [
        (f"published: {package}", getattr(import_module(package), name)(ALPHA))
        for package, name in names.items()
        if find_spec(package)
    ]


def measure(shape: tuple[int, int], rounds: int) -> dict[str, float]:
    """Return the median seconds of each contestant."""
    x, dy = torch.randn(shape, requires_grad=True), torch.randn(shape)
    module = GradientReversal(ALPHA)

    def through(layer: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(layer(x), x, dy)

    contestants: dict[str, Callable[[], object]] = {
        "bare Function: view, product": through(lambda v: PlainMul.apply(v, ALPHA)),
        "the same in a module": through(PlainModule()),
        "gradient_reversal, float": through(lambda v: gradient_reversal(v, ALPHA)),
        "GradientReversal": through(module),
        "by hand: view, empty graph, product": lambda: torch.autograd.grad(x.view_as(x), x, dy)[0] * -ALPHA,
        "peer: view, neg, product": through(lambda v: NegMul.apply(v, ALPHA)),
        "peer: copy, neg, product": through(lambda v: Copying.apply(v, ALPHA)),
        "peer: tensor alpha saved": through(lambda v: TensorAlpha.apply(v, ALPHA)),
        "setup_context form alone": through(lambda v: _TransformableScale.apply(v, -ALPHA, False)),
        "stop-gradient arithmetic": through(lambda v: reverse_with_stop_gradient(v, ALPHA)),
        "hook": through(lambda v: reverse_with_hook(v, ALPHA)),
    }
    contestants |= {name: through(layer) for name, layer in find_published()}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for round_ in range(rounds):
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            start = time.perf_counter()
            contestants[name]()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[rounds // 10 :]) for name, values in times.items()}


def time_import() -> float:
    """Milliseconds that `import grl` adds to `import torch`, in a fresh interpreter."""
    command = [sys.executable, "-X", "importtime", "-c", "import torch, sys; sys.stderr.write('MARK\\n'); import grl"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.split("MARK\n")[1].splitlines()
    (total_us,) = (int(line.split("|")[1]) for line in lines if line.split("|")[-1].strip() == "grl")
    return total_us / 1000


def main() -> None:
    """Print one table."""
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one CPU thread; median µs of forward + backward, ratio to the bare Function")
    columns = [measure(shape, 12 if shape[0] == 4096 else 2000) for shape in SHAPES]
    print(f"{'':36}" + "".join(f"{f'{a}×{b}':>20}" for a, b in SHAPES))
    for name in columns[0]:
        cells = (f"{c[name] * 1e6:12.1f} {c[name] / next(iter(c.values())):6.2f} " for c in columns)
        print(f"{name:36}" + "".join(cells))
    print(f"import grl after torch: {statistics.median(time_import() for _ in range(5)):.0f} ms, median of 5")


if __name__ == "__main__":
    main()
