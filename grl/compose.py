"""Schedules made of schedules: start one later, cap it, scale it."""

from dataclasses import dataclass

from grl.checks import require_at_least, require_between, require_count
from grl.schedules import AnySchedule, Schedule, find_position, require_schedule


@dataclass(frozen=True, kw_only=True)
class Delay(Schedule):
    """Nothing until `start`, then the whole of another schedule in the time that is left.

    alpha(p) = before for p < start, else schedule((p - start) / (1 - start)).

    Args:
        schedule: what follows; without a horizon of its own, because the delay sets its time.
        start: where it begins, in [0, 1).
        before: the value until then, >= 0.
        horizon: steps after which p is 1; None takes the whole training.

    >>> from grl.schedules import Linear
    >>> [Delay(schedule=Linear(), start=0.5)(p) for p in (0, 0.25, 0.5, 0.75, 1)]
    [0.0, 0.0, 0.0, 0.5, 1.0]
    """

    schedule: AnySchedule
    start: float = 0.0
    before: float = 0.0
    horizon: int | None = None

    def __post_init__(self) -> None:
        require_schedule("schedule", self.schedule)
        if require_between("start", self.start, 0.0, 1.0) == 1.0:
            raise ValueError("start must be in [0, 1), got 1.0")
        require_at_least("before", self.before, 0.0)
        if self.horizon is not None:
            require_count("horizon", self.horizon)
        own = find_horizon(self.schedule)
        if own is not None:
            raise ValueError(f"schedule must have no horizon inside a Delay (give it to the Delay), got horizon={own}")

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return alpha at `progress`, or at `step` where a horizon is fixed."""
        position = find_position(progress, step, self.horizon)
        if position < self.start:
            return float(self.before)
        return self.schedule((position - self.start) / (1.0 - self.start), step=step)


@dataclass(frozen=True, kw_only=True)
class Cap(Schedule):
    """Another schedule, never above `maximum`: alpha(p) = min(schedule(p), maximum).

    Args:
        schedule: the schedule to cap.
        maximum: the greatest value, >= 0.

    >>> from grl.schedules import Linear
    >>> [Cap(schedule=Linear(), maximum=0.3)(p) for p in (0, 0.25, 0.5, 1)]
    [0.0, 0.25, 0.3, 0.3]
    """

    schedule: AnySchedule
    maximum: float = 1.0

    def __post_init__(self) -> None:
        require_schedule("schedule", self.schedule)
        require_at_least("maximum", self.maximum, 0.0)

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return alpha at `progress`, or at `step` where a horizon is fixed."""
        return min(self.schedule(progress, step=step), float(self.maximum))


@dataclass(frozen=True, kw_only=True)
class Scale(Schedule):
    """Another schedule times a number: alpha(p) = factor · schedule(p).

    Args:
        schedule: the schedule to scale.
        factor: the number, >= 0.

    >>> from grl.schedules import Linear
    >>> [Scale(schedule=Linear(), factor=0.5)(p) for p in (0, 0.25, 0.5, 1)]
    [0.0, 0.125, 0.25, 0.5]
    """

    schedule: AnySchedule
    factor: float = 1.0

    def __post_init__(self) -> None:
        require_schedule("schedule", self.schedule)
        require_at_least("factor", self.factor, 0.0)

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        """Return alpha at `progress`, or at `step` where a horizon is fixed."""
        return self.factor * self.schedule(progress, step=step)


def find_horizon(schedule: AnySchedule) -> int | None:
    """Return the horizon in steps of a schedule, or of the one it is made of; None if it spans the training."""
    horizon: int | None = getattr(schedule, "horizon", None)
    inner: AnySchedule | None = getattr(schedule, "schedule", None)
    return horizon if horizon is not None or inner is None else find_horizon(inner)
