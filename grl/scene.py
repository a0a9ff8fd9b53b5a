"""Where the doctor looks: copies of the adversary in double precision, and what arrives at each place there."""

import contextlib
import math
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from grl.measure import Slope, is_multiple, measure_norm, measure_slope, project
from grl.precise import Widen, stand_in

TOLERANCE = 0.05
"""How far a measured factor may be from the expected one, as a share of it."""
_MOST_GROUPS = 8
_NEGLIGIBLE = 1e-9  # of the whole: what rounding leaves where the true gradient is 0, as at a bias before BatchNorm

AdversarialTerm = Callable[[Any, Tensor, float], Tensor]
PlainTerm = Callable[[Any, Tensor], Tensor]
Grads = list[Tensor | None]


class Finding(NamedTuple):
    """What arrives at one place, over the true gradient there.

    Args:
        at_alpha: the factor at alpha.
        at_half: the factor at half of it.
        doubt: why neither is to be relied on; empty where both are.
        error: their relative error.
    """

    at_alpha: float
    at_half: float
    doubt: str = ""
    error: float = 0.0


class Arriving(NamedTuple):
    """The gradients at the features, and at each group of weights; None where nothing arrives."""

    features: Grads
    groups: list[Grads]


class Scene:
    """The adversary's copies and features of its own, a hair beside the real ones.

    Beside, because the real ones may stand on an edge: features that are exactly 0 under a ReLU or a maximum, a
    last layer that starts as zeros. What holds a thousandth beside them holds for them.

    Args:
        heads: the adversary, its copies in place.
        features: a pytree; floating leaves are copied.
        domain_labels: `(N,)`.
        wide: whether to compute in double precision.
    """

    def __init__(self, heads: nn.Module, features: Any, domain_labels: Tensor, *, wide: bool) -> None:
        leaves, self._spec = pytree.tree_flatten(features)
        self._leaves: list[Any] = [
            leaf.detach().to(torch.float64 if wide else leaf.dtype, copy=True).requires_grad_()
            if is_floating(leaf)
            else leaf
            for leaf in leaves
        ]
        self.features: list[Tensor] = [leaf for leaf in self._leaves if is_floating(leaf)]
        self.groups = group_weights(heads)
        self._buffers = [(buffer, buffer.clone()) for buffer in heads.buffers()]
        self._domain_labels, self._wide = domain_labels, wide

    def step_aside(self) -> None:
        """Move features and weights by about a thousandth of their size."""
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for value in [*self.features, *(weight for group in self.groups for weight in group)]:
                size = value.square().mean().sqrt().clamp(min=0.01) * 1e-3
                value += size * torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value)

    @contextlib.contextmanager
    def _anew(self) -> Generator[None]:
        """The same buffers and random numbers for each evaluation."""
        with torch.no_grad():
            for buffer, value in self._buffers:
                buffer.copy_(value)
        restart_random()
        with Widen() if self._wide else contextlib.nullcontext():
            yield

    def evaluate(self, plain: PlainTerm) -> float:
        """Return the loss at the present values."""
        with torch.no_grad(), self._anew():
            return plain(pytree.tree_unflatten(self._leaves, self._spec), self._domain_labels).item()

    def differentiate(self, loss: PlainTerm) -> Arriving:
        """Return the gradients of a loss at the present values."""
        at = [*self.features, *(weight for group in self.groups for weight in group)]
        with self._anew():
            value = loss(pytree.tree_unflatten(self._leaves, self._spec), self._domain_labels)
            if not value.requires_grad:
                grads: list[Tensor | None] = [None] * len(at)
            else:
                grads = list(torch.autograd.grad(value, at, allow_unused=True))
        rest = iter(grads)
        return Arriving([next(rest) for _ in self.features], [[next(rest) for _ in group] for group in self.groups])

    def find_range(self, heads: nn.Module) -> tuple[float, float]:
        """Return the least and the greatest logit over draws of random weights, most of them large."""
        generator = torch.Generator().manual_seed(0)
        weights = [weight for group in self.groups for weight in group]
        kept = [weight.detach().clone() for weight in weights]
        seen: list[float] = []
        try:
            for size in (1.0, 100.0, 100.0):
                with torch.no_grad():
                    for weight in weights:
                        weight.copy_(size * torch.randn(weight.shape, generator=generator))
                    with self._anew():
                        logits = heads(pytree.tree_unflatten(self._leaves, self._spec))
                seen += [logits.min().item(), logits.max().item()]
        finally:
            with torch.no_grad():
                for weight, value in zip(weights, kept, strict=True):
                    weight.copy_(value)
        return min(seen), max(seen)

    def measure(self, plain: PlainTerm, at: Sequence[Tensor], direction: Sequence[Tensor]) -> Slope:
        """Return the true slope of a loss along a direction."""
        return measure_slope(lambda: self.evaluate(plain), at, direction)

    def compare(
        self, plain: PlainTerm, at: Sequence[Tensor], terms: tuple[Grads, Grads], plains: Grads, *, may_hold: bool
    ) -> Finding:
        """Return what arrives at one place over the true gradient.

        The term's gradient is compared with that of the plain loss, which is exact, and that one with the slope.

        Args:
            plain: the loss without reversal.
            at: the place.
            terms: what the adversarial term sends there, at alpha and at half of it.
            plains: what the plain loss sends there by autograd, reversals hidden in it included.
            may_hold: whether the plain loss may hold part of what it sees fixed, as CDAN does its class
                predictions: its gradient is then right and yet not the slope.

        Returns:
            The finding.
        """
        reference = fill(plains, at)
        if measure_norm(reference) == 0.0:
            return Finding(0.0, 0.0, "the plain loss sends no gradient there, the adversarial one does")
        (at_alpha, rest), (at_half, rest_half) = (project(fill(grads, at), reference) for grads in terms)
        if max(rest, rest_half) > TOLERANCE:
            return Finding(at_alpha, at_half, "the adversarial loss is no multiple of the plain one; give plain_loss")
        slope = self.measure(plain, at, reference)
        if not slope.is_sure:
            return Finding(at_alpha, at_half, f"the slope there is {slope.value:.2g} ± {slope.error:.1g}")
        truth, error = measure_norm(reference) / slope.value, slope.error / abs(slope.value)
        if abs(truth - 1.0) > TOLERANCE and not is_multiple(lambda: self.evaluate(plain), at, reference, truth):
            if not (may_hold and 0.5 <= abs(truth) <= 2.0):
                return Finding(at_alpha, at_half, "the loss holds part of what it sees fixed")
            truth = math.copysign(1.0, truth)
        return Finding(at_alpha * truth, at_half * truth, error=error)


@contextlib.contextmanager
def set_scene(heads: nn.Module, features: Any, domain_labels: Tensor, *, wide: bool) -> Generator[Scene]:
    """Put copies in the place of the adversary's weights, and return where to look at them."""
    with stand_in([heads], wide=wide):
        yield Scene(heads, features, domain_labels, wide=wide)


def group_weights(heads: nn.Module) -> list[list[Tensor]]:
    """Return the trainable weights by the module that owns them, neighbours together where that makes many groups."""
    seen: set[Tensor] = set()
    groups: list[list[Tensor]] = []
    for module in heads.modules():
        own: list[Tensor] = [p for p in module.parameters(recurse=False) if p.requires_grad and p not in seen]
        seen.update(own)
        if own:
            groups.append(own)
    share = -(-len(groups) // _MOST_GROUPS) or 1
    return [[p for group in groups[k : k + share] for p in group] for k in range(0, len(groups), share)]


def is_floating(leaf: object) -> bool:
    """Whether it is a tensor that can be moved a little."""
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def fill(grads: Grads, at: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients with zeros where there is none."""
    return [torch.zeros_like(x) if g is None else g.detach() for g, x in zip(grads, at, strict=True)]


def is_cut(grads: Grads) -> bool:
    """Whether the graph does not reach there; where it does, zeros may arrive."""
    return all(grad is None for grad in grads)


def is_nothing(groups: list[Grads]) -> bool:
    """Whether no gradient arrives, or zeros alone."""
    return all(_size(grads) == 0.0 for grads in groups)


def is_negligible(grads: Grads, whole: list[Grads]) -> bool:
    """Whether gradients are nothing but rounding beside all of them."""
    return _size(grads) <= _NEGLIGIBLE * _size([grad for group in whole for grad in group])


def _size(grads: Grads) -> float:
    return measure_norm([grad for grad in grads if grad is not None])


def restart_random() -> None:
    """Start the random numbers anew, so that two forward passes draw the same dropout."""
    if torch.accelerator.is_available():
        torch.manual_seed(0)  # pyright: ignore
    else:  # the same, without keeping a stack trace for the day an accelerator appears, which takes a millisecond
        torch.default_generator.manual_seed(0)
