"""True slopes of a loss, found without a backward pass: by moving and looking."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

SURE = 0.01
"""Relative error below which a slope is taken as known."""

_EXACT = 1e-4  # where no other step needs to be tried


class Slope(NamedTuple):
    """A slope and how far it may be wrong, both per unit of distance."""

    value: float
    error: float

    @property
    def is_sure(self) -> bool:
        """Whether the error is small beside the value."""
        return self.error <= SURE * abs(self.value)


def measure_slope(loss: Callable[[], float], at: Sequence[Tensor], direction: Sequence[Tensor]) -> Slope:
    """Return the slope of `loss` along a direction, with an error estimate from two step sizes.

    D(h) = (L(x + h · u) - L(x - h · u)) / (2h), u = direction / ‖direction‖; D(h / 2) is returned, in error by
    |D(h) - D(h / 2)| + 8 · eps · |L| / h: curvature and kinks make the first large, rounding the second. The step
    starts at eps^(1/3) of the size of x, and others are tried until one is exact; the best one counts. No backward
    pass is used, so a reversal hidden anywhere cannot change what it is compared with.

    Args:
        loss: returns the loss at the present values of `at`.
        at: what to move, in place; put back to the same bits afterwards.
        direction: not all zero, same shapes.

    Returns:
        The slope; its error is infinite where the loss is not finite nearby.
    """
    norm = measure_norm(direction)
    kept = [value.detach().clone() for value in at]
    eps = torch.finfo(at[0].dtype).eps
    best = Slope(math.nan, math.inf)

    def move(distance: float) -> float:
        with torch.no_grad():
            for value, old, along in zip(at, kept, direction, strict=True):
                value.copy_(old + (distance / norm) * along)
        return loss()

    try:
        for factor in (1.0, 1.0 / 16.0, 16.0, 1.0 / 256.0, 256.0):
            step = factor * eps ** (1.0 / 3.0) * max(measure_norm(kept), 1e-3)
            far, near = ((move(h), move(-h)) for h in (step, step / 2.0))
            slope = (near[0] - near[1]) / step
            rounding = 8.0 * eps * max(map(abs, far + near)) / step
            error = abs((far[0] - far[1]) / (2.0 * step) - slope) + rounding
            if error < best.error:  # never where anything is NaN
                best = Slope(slope, error)
            if best.error <= _EXACT * abs(best.value):
                break
    finally:
        with torch.no_grad():
            for value, old in zip(at, kept, strict=True):
                value.copy_(old)
    return best


def is_multiple(
    loss: Callable[[], float], at: Sequence[Tensor], grads: Sequence[Tensor], factor: float, draws: int = 3
) -> bool:
    """Return whether `grads` is `factor` times the true gradient in random directions too, not along itself alone.

    It is not where the loss holds part of its input fixed, as by `detach`: then the gradient points elsewhere.

    Args:
        loss: returns the loss at the present values of `at`.
        at: what to move, in place; put back afterwards.
        grads: not all zero, same shapes.
        factor: what was found along `grads`.
        draws: how many directions to try.

    Returns:
        Whether the difference of both, extrapolated to all directions, is below a five-hundredth.
    """
    size = sum(grad.numel() for grad in grads)
    generator = torch.Generator().manual_seed(0)  # its own: the loss restarts the common one
    off = 0.0
    for _ in range(draws):
        direction = [torch.randn(g.shape, generator=generator, dtype=torch.float64).to(g) for g in grads]
        along = sum((g * d).sum().item() for g, d in zip(grads, direction, strict=True)) / measure_norm(direction)
        slope = measure_slope(loss, at, direction)
        off += max(abs(factor * slope.value - along) - abs(factor) * slope.error, 0.0) ** 2
    return math.sqrt(off / draws * size) <= 0.002 * measure_norm(grads)


def measure_norm(tensors: Sequence[Tensor]) -> float:
    """Return the Euclidean norm of all the tensors together."""
    return math.sqrt(sum(tensor.detach().double().abs().square().sum().item() for tensor in tensors))


def project(measured: Sequence[Tensor], reference: Sequence[Tensor]) -> tuple[float, float]:
    """Return a and r, with `measured` = a · `reference` + a rest at right angles whose share of the norm is r."""
    pairs = list(zip(measured, reference, strict=True))
    ratio = sum((m * r).sum().item() for m, r in pairs) / measure_norm(reference) ** 2
    norm = measure_norm(measured)
    rest = measure_norm([m - ratio * r for m, r in pairs])
    return ratio, rest / norm if norm else 0.0
