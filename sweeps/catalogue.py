"""Every sweep that has a name."""

from collections.abc import Callable

import optuna

from experiments.moons import moons
from grl.schedules import Constant, Ganin, Linear, Schedule
from sweeps.sweep import Sweep


def suggest_schedule(trial: optuna.Trial) -> Schedule:
    """Constant, Ganin's ramp or a straight line, from alpha 0.05 up to where moons' learning rate is still stable.

    A constant alpha meets the large learning rate of the first steps, where two of five seeds diverge at 0.5; the
    others rise as it falls.
    """
    match trial.suggest_categorical("schedule", ["constant", "ganin", "linear"]):
        case "constant":
            return Constant(value=trial.suggest_float("constant.value", 0.05, 0.35, log=True))
        case "ganin":
            return Ganin(
                gamma=trial.suggest_float("ganin.gamma", 1.0, 10.0, log=True),
                alpha_max=trial.suggest_float("ganin.alpha_max", 0.05, 1.0, log=True),
            )
        case "linear":
            return Linear(end=trial.suggest_float("linear.end", 0.05, 1.0, log=True))
        case other:
            raise AssertionError(other)


def demo() -> Sweep:
    """Three alpha schedules on moons, chosen by information maximisation; under a minute on two cores."""
    return Sweep(name="demo", recipe=moons(), suggest=suggest_schedule, trials=12, seeds=2)


SWEEPS: dict[str, Callable[[], Sweep]] = {"demo": demo}
