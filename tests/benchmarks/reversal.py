"""What the layer costs: forward and backward, against the bare floor and against other ways to write it.

    python -m tests.benchmarks.reversal

The floor is an identity view and one product of the gradient, done by hand outside of any graph, plus the empty
graph's own cost, measured beside it. Every round runs each contestant once in a row, so that a busy machine
troubles all alike; medians over the rounds.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

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


def measure(shape: tuple[int, int], rounds: int) -> dict[str, float]:
    """Return the median seconds of each contestant."""
    x, dy = torch.randn(shape, requires_grad=True), torch.randn(shape)
    module = GradientReversal(ALPHA)

    def through(layer: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(layer(x), x, dy)

    contestants: dict[str, Callable[[], object]] = {
        "floor: view, empty graph, product": lambda: torch.autograd.grad(x.view_as(x), x, dy)[0] * -ALPHA,
        "gradient_reversal, float": through(lambda v: gradient_reversal(v, ALPHA)),
        "GradientReversal": through(module),
        "peer: view, product": through(lambda v: PlainMul.apply(v, ALPHA)),
        "peer: view, neg, product": through(lambda v: NegMul.apply(v, ALPHA)),
        "peer: copy, neg, product": through(lambda v: Copying.apply(v, ALPHA)),
        "peer: tensor alpha saved": through(lambda v: TensorAlpha.apply(v, ALPHA)),
        "setup_context form alone": through(lambda v: _TransformableScale.apply(v, -ALPHA, False)),
        "stop-gradient arithmetic": through(lambda v: reverse_with_stop_gradient(v, ALPHA)),
        "hook": through(lambda v: reverse_with_hook(v, ALPHA)),
    }
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
    print(f"torch {torch.__version__}, one CPU thread; median µs of forward + backward, and its ratio to the floor")
    columns = [measure(shape, 12 if shape[0] == 4096 else 600) for shape in SHAPES]
    print(f"{'':36}" + "".join(f"{f'{a}×{b}':>20}" for a, b in SHAPES))
    for name in columns[0]:
        cells = (f"{c[name] * 1e6:12.1f} {c[name] / next(iter(c.values())):6.2f} " for c in columns)
        print(f"{name:36}" + "".join(cells))
    print(f"import grl after torch: {statistics.median(time_import() for _ in range(5)):.0f} ms, median of 5")


if __name__ == "__main__":
    main()
