"""What the doctor measures: true slopes without autograd, fresh probes, and networks left as they were."""

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import cast

import torch
from torch import Tensor, nn


@contextmanager
def keep_state(networks: Sequence[nn.Module]) -> Generator[None]:
    """Put buffers (such as running averages) and the random state back when the block ends.

    Gradients are recorded inside.

    Args:
        networks: the modules whose buffers may change.

    Yields:
        Nothing.
    """
    buffers = [buffer for network in networks for buffer in network.buffers()]
    values = [buffer.clone() for buffer in buffers]
    devices = {p.device for network in networks for p in network.parameters() if p.device.type == "cuda"}
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[device.index for device in devices]))  # pyright: ignore
        stack.enter_context(torch.enable_grad())
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in zip(buffers, values, strict=True):
                    buffer.copy_(value)


def measure_factor(loss: Callable[[], float], at: Sequence[Tensor], grads: Sequence[Tensor]) -> float:
    """Return m in `grads` = m · (true gradient of `loss`), found by moving and looking at the loss alone.

    With unit direction u = g / ‖g‖ the loss has the slope ⟨∇L, u⟩ = ‖g‖ / m, taken as a central difference. No
    backward pass is used, so a reversal hidden anywhere cannot change what it is compared with.

    Args:
        loss: returns the loss at the present values of `at`.
        at: what to move, in place; put back to the same bits afterwards.
        grads: the gradients that were found there, same shapes.

    Returns:
        The factor; 0 where the gradients are 0, infinite where the loss is level along them.
    """
    norm = measure_norm(grads)
    if norm == 0.0:
        return 0.0
    kept = [value.detach().clone() for value in at]

    def move(distance: float) -> float:
        with torch.no_grad():
            for value, old, grad in zip(at, kept, grads, strict=True):
                value.copy_(old + (distance / norm) * grad)
        return loss()

    try:
        distance = 1e-3 * max(measure_norm(kept), 1e-3)
        slope = (move(distance) - move(-distance)) / (2.0 * distance)
        if slope != 0.0:  # once more, with a step that changes the loss by just enough to see it
            distance = min(_visible_change(kept[0].dtype) / abs(slope), 100.0 * distance)
            slope = (move(distance) - move(-distance)) / (2.0 * distance)
    finally:
        with torch.no_grad():
            for value, old in zip(at, kept, strict=True):
                value.copy_(old)
    return norm / slope if slope != 0.0 else math.inf


def _visible_change(dtype: torch.dtype) -> float:
    """Return a change of the loss far above the rounding of `dtype`, and small beside the kinks of a small ReLU net."""
    return min(0.01, max(0.001, 1e4 * torch.finfo(dtype).eps))


def restart_random() -> None:
    """Start the random numbers anew, so that two forward passes draw the same dropout."""
    if torch.accelerator.is_available():
        torch.manual_seed(0)  # pyright: ignore
    else:  # the same, without keeping a stack trace for the day an accelerator appears, which takes a millisecond
        torch.default_generator.manual_seed(0)


def measure_norm(tensors: Sequence[Tensor]) -> float:
    """Return the Euclidean norm of all the tensors together."""
    return math.sqrt(sum(tensor.detach().double().square().sum().item() for tensor in tensors))


def probe_domains(features: Tensor, domain_labels: Tensor) -> float:
    """Return how well a fresh linear probe tells the domains apart on samples it has not seen.

    Ridge regression on standardised features, fitted on every other sample of each domain and tested on the rest,
    both ways round.

    Args:
        features: `(N, ...)`; flattened.
        domain_labels: source 0, target 1, `(N,)`.

    Returns:
        The mean accuracy of both domains, 0.5 where they cannot be told apart; NaN with fewer than four samples of
        a domain.
    """
    signs = domain_labels.double().cpu() * 2.0 - 1.0
    values = features.detach().double().flatten(1).cpu()
    fold = torch.zeros(len(signs), dtype=torch.bool)
    for sign in (-1.0, 1.0):
        members = (signs == sign).nonzero().squeeze(1)
        if len(members) < 4:
            return math.nan
        fold[members[::2]] = True
    return (_test_probe(values, signs, fold) + _test_probe(values, signs, ~fold)) / 2.0


def _test_probe(values: Tensor, signs: Tensor, train: Tensor) -> float:
    mean, spread = values[train].mean(0), values[train].std(0)
    values = (values - mean) / torch.where(spread > 0, spread, 1.0)
    seen, unseen = values[train], values[~train]
    kernel = seen @ seen.T / seen.shape[1] + 0.1 * torch.eye(len(seen), dtype=seen.dtype)
    centre = signs[train].mean()
    dual = cast(Tensor, torch.linalg.solve(kernel, signs[train] - centre))  # pyright: ignore
    scores = unseen @ (seen.T @ dual) / seen.shape[1] + centre
    right = ((scores > 0) == (signs[~train] > 0)).double()
    return sum(right[signs[~train] == sign].mean().item() for sign in (-1.0, 1.0)) / 2.0
