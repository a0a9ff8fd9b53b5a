"""Schedules: training progress in [0, 1] to the coefficient alpha of the reversal.

A schedule is a frozen dataclass that is called with `progress` and, where a horizon is fixed in steps, `step`. It
keeps no counter: the same arguments always give the same value, so resuming, evaluating and plotting need no care.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from grl.checks import require_above, require_at_least, require_between, require_count


class AnySchedule(Protocol):
    """What a schedule is to everything that uses one: a callable from progress (and step) to a number."""

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return the value at `progress`, or at `step` where a horizon is fixed in steps."""
        ...


def require_schedule(name: str, value: object) -> None:
    """Raise unless `value` can be called as a schedule is; its class cannot."""
    if isinstance(value, type) or not callable(value):
        raise TypeError(f"{name} must be a schedule, a callable of progress and step, got {value!r}")


def find_position(progress: float, step: int | None, horizon: int | None) -> float:
    """Return where a schedule stands in [0, 1]: `progress`, or `step / horizon` up to 1 where a horizon is fixed.

    Args:
        progress: step / steps of the whole training, in [0, 1].
        step: number of finished steps; needed only where `horizon` is given.
        horizon: number of steps after which the schedule has arrived, or None for the whole training.

    Returns:
        The position in [0, 1].

    Raises:
        ValueError: if progress lies outside [0, 1], or step is missing or negative where it is needed.
    """
    position = require_between("progress", progress, 0.0, 1.0)
    if horizon is None:
        return position
    if step is None:
        raise ValueError(f"step must be given, because the schedule has a horizon of {horizon} steps, got None")
    return min(1.0, require_count("step", step, 0) / horizon)


def _check_horizon(horizon: int | None) -> None:
    if horizon is not None:
        require_count("horizon", horizon)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What all schedules here are; derive your own from it, as a frozen dataclass."""

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return the value at `progress`, or at `step` where a horizon is fixed in steps."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """The same value throughout: alpha(p) = value.

    Args:
        value: the coefficient, >= 0.

    >>> [Constant(value=0.3)(p) for p in (0, 0.25, 0.5, 1)]
    [0.3, 0.3, 0.3, 0.3]
    """

    value: float = 1.0

    def __post_init__(self) -> None:
        require_at_least("value", self.value, 0.0)

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return alpha at `progress`."""
        find_position(progress, step, None)
        return float(self.value)


@dataclass(frozen=True, kw_only=True)
class Ganin(Schedule):
    """The paper's ramp: alpha(p) = alpha_max · (2 / (1 + exp(-gamma · p)) - 1).

    It starts at 0 with slope alpha_max · gamma / 2 and levels off below alpha_max. Ganin et al., JMLR 17 (2016),
    section 5.2.

    Args:
        gamma: steepness, > 0; the paper's is 10.
        alpha_max: the value the ramp levels off at, >= 0.
        horizon: steps after which p is 1; None takes the whole training.

    >>> [round(Ganin()(p), 4) for p in (0, 0.25, 0.5, 1)]
    [0.0, 0.8483, 0.9866, 0.9999]
    >>> round(Ganin(horizon=10_000)(0.1, step=5_000), 4)
    0.9866
    """

    gamma: float = 10.0
    alpha_max: float = 1.0
    horizon: int | None = None

    def __post_init__(self) -> None:
        require_above("gamma", self.gamma, 0.0)
        require_at_least("alpha_max", self.alpha_max, 0.0)
        _check_horizon(self.horizon)

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return alpha at `progress`, or at `step` where a horizon is fixed."""
        position = find_position(progress, step, self.horizon)
        return self.alpha_max * (2.0 / (1.0 + math.exp(-self.gamma * position)) - 1.0)


@dataclass(frozen=True, kw_only=True)
class Linear(Schedule):
    """A straight line: alpha(p) = start + (end - start) · p.

    Args:
        start: the value at p = 0, >= 0.
        end: the value at p = 1, >= 0.
        horizon: steps after which p is 1; None takes the whole training.

    >>> [Linear(end=2.0)(p) for p in (0, 0.25, 0.5, 1)]
    [0.0, 0.5, 1.0, 2.0]
    """

    start: float = 0.0
    end: float = 1.0
    horizon: int | None = None

    def __post_init__(self) -> None:
        require_at_least("start", self.start, 0.0)
        require_at_least("end", self.end, 0.0)
        _check_horizon(self.horizon)

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return alpha at `progress`, or at `step` where a horizon is fixed."""
        position = find_position(progress, step, self.horizon)
        return (1.0 - position) * self.start + position * self.end


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Half a cosine wave: alpha(p) = start + (end - start) · (1 - cos(pi · p)) / 2.

    Args:
        start: the value at p = 0, >= 0.
        end: the value at p = 1, >= 0.
        horizon: steps after which p is 1; None takes the whole training.

    >>> [round(Cosine()(p), 4) for p in (0, 0.25, 0.5, 1)]
    [0.0, 0.1464, 0.5, 1.0]
    """

    start: float = 0.0
    end: float = 1.0
    horizon: int | None = None

    def __post_init__(self) -> None:
        require_at_least("start", self.start, 0.0)
        require_at_least("end", self.end, 0.0)
        _check_horizon(self.horizon)

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return alpha at `progress`, or at `step` where a horizon is fixed."""
        position = find_position(progress, step, self.horizon)
        share = (1.0 - math.cos(math.pi * position)) / 2.0
        return (1.0 - share) * self.start + share * self.end


@dataclass(frozen=True, kw_only=True)
class Step(Schedule):
    """One jump: alpha(p) = before for p < at, after from p = at on. With before = 0 it is a delayed start.

    Args:
        at: where the jump is, in [0, 1].
        before: the value before it, >= 0.
        after: the value from it on, >= 0.
        horizon: steps after which p is 1; None takes the whole training.

    >>> [Step()(p) for p in (0, 0.25, 0.5, 1)]
    [0.0, 0.0, 1.0, 1.0]
    """

    at: float = 0.5
    before: float = 0.0
    after: float = 1.0
    horizon: int | None = None

    def __post_init__(self) -> None:
        require_between("at", self.at, 0.0, 1.0)
        require_at_least("before", self.before, 0.0)
        require_at_least("after", self.after, 0.0)
        _check_horizon(self.horizon)

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return alpha at `progress`, or at `step` where a horizon is fixed."""
        position = find_position(progress, step, self.horizon)
        return float(self.after if position >= self.at else self.before)


@dataclass(frozen=True, kw_only=True)
class Staircase(Schedule):
    """Many jumps: alpha(p) = start · factor ** n, where n is 0 before p = first, then 1, and grows with each `every`.

    With factor 0.5 it is a learning rate that is halved again and again.

    Args:
        start: the value before the first jump, >= 0.
        factor: of each jump, >= 0.
        first: where the first jump is, in [0, 1].
        every: how far the others are apart, > 0.
        horizon: steps after which p is 1; None takes the whole training.

    >>> [Staircase(first=0.2, every=0.3)(p) for p in (0, 0.2, 0.49, 0.5, 1)]
    [1.0, 0.5, 0.5, 0.25, 0.125]
    """

    start: float = 1.0
    factor: float = 0.5
    first: float = 0.1
    every: float = 0.1
    horizon: int | None = None

    def __post_init__(self) -> None:
        require_at_least("start", self.start, 0.0)
        require_at_least("factor", self.factor, 0.0)
        require_between("first", self.first, 0.0, 1.0)
        require_above("every", self.every, 0.0)
        _check_horizon(self.horizon)

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return alpha at `progress`, or at `step` where a horizon is fixed."""
        position = find_position(progress, step, self.horizon)
        jumps = math.floor((position - self.first) / self.every + 1.0 + 1e-9)  # 0.1 + 0.2 is more than 0.3
        return self.start * self.factor ** max(0, jumps)


@dataclass(frozen=True, kw_only=True)
class Cyclic(Schedule):
    """Triangle waves: alpha(p) = low + (high - low) · (1 - abs(2 · frac(cycles · p) - 1)).

    Each cycle climbs from low to high and falls back to low.

    Args:
        low: the value at both ends of a cycle, >= 0.
        high: the value in the middle of a cycle, >= 0.
        cycles: how many cycles fit into p from 0 to 1, >= 1.
        horizon: steps after which p is 1; None takes the whole training.

    >>> [Cyclic(cycles=2)(p) for p in (0, 0.125, 0.25, 0.5, 1)]
    [0.0, 0.5, 1.0, 0.0, 0.0]
    """

    low: float = 0.0
    high: float = 1.0
    cycles: int = 4
    horizon: int | None = None

    def __post_init__(self) -> None:
        require_at_least("low", self.low, 0.0)
        require_at_least("high", self.high, 0.0)
        require_count("cycles", self.cycles)
        _check_horizon(self.horizon)

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return alpha at `progress`, or at `step` where a horizon is fixed."""
        position = find_position(progress, step, self.horizon)
        height = 1.0 - abs(2.0 * math.fmod(self.cycles * position, 1.0) - 1.0)
        return (1.0 - height) * self.low + height * self.high


@dataclass(frozen=True, kw_only=True)
class Polynomial(Schedule):
    """A power of progress: alpha(p) = start + (end - start) · p ** power.

    Args:
        start: the value at p = 0, >= 0.
        end: the value at p = 1, >= 0.
        power: the exponent, > 0; 1 is the straight line, less than 1 starts steeply.
        horizon: steps after which p is 1; None takes the whole training.

    >>> [Polynomial()(p) for p in (0, 0.25, 0.5, 1)]
    [0.0, 0.0625, 0.25, 1.0]
    """

    start: float = 0.0
    end: float = 1.0
    power: float = 2.0
    horizon: int | None = None

    def __post_init__(self) -> None:
        require_at_least("start", self.start, 0.0)
        require_at_least("end", self.end, 0.0)
        require_above("power", self.power, 0.0)
        _check_horizon(self.horizon)

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return alpha at `progress`, or at `step` where a horizon is fixed."""
        share = find_position(progress, step, self.horizon) ** self.power
        return (1.0 - share) * self.start + share * self.end


@dataclass(frozen=True, kw_only=True)
class InverseDecay(Schedule):
    """The learning rate of the paper: lr(p) = lr / (1 + rate · p) ** power.

    Ganin et al., JMLR 17 (2016), section 5.2, where lr, rate and power are called mu_0, alpha and beta.

    Args:
        lr: the learning rate at p = 0, > 0.
        rate: how fast it falls, >= 0; 0 keeps it constant.
        power: the exponent, >= 0.
        horizon: steps after which p is 1; None takes the whole training.

    >>> [round(InverseDecay()(p), 6) for p in (0, 0.25, 0.5, 1)]
    [0.01, 0.003908, 0.002608, 0.001656]
    """

    lr: float = 0.01
    rate: float = 10.0
    power: float = 0.75
    horizon: int | None = None

    def __post_init__(self) -> None:
        require_above("lr", self.lr, 0.0)
        require_at_least("rate", self.rate, 0.0)
        require_at_least("power", self.power, 0.0)
        _check_horizon(self.horizon)

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return the learning rate at `progress`, or at `step` where a horizon is fixed."""
        position = find_position(progress, step, self.horizon)
        return self.lr / (1.0 + self.rate * position) ** self.power
