"""Every sweep that has a name."""

from collections.abc import Callable

import optuna

from experiments.moons import moons
from grl.schedules import Constant, Ganin, Linear, Schedule
from sweeps.sweep import Sweep


def suggest_schedule(trial: optuna.Trial) -> Schedule:
    """Constant, Ganin's ramp or a straight line, each up to an alpha between 0.1 and 3."""
    match trial.suggest_categorical("schedule", ["constant", "ganin", "linear"]):
        case "constant":
            return Constant(value=trial.suggest_float("constant.value", 0.1, 3.0, log=True))
        case "ganin":
            return Ganin(
                gamma=trial.suggest_float("ganin.gamma", 1.0, 20.0, log=True),
                alpha_max=trial.suggest_float("ganin.alpha_max", 0.1, 3.0, log=True),
            )
        case "linear":
            return Linear(end=trial.suggest_float("linear.end", 0.1, 3.0, log=True))
        case other:
            raise AssertionError(other)


def demo() -> Sweep:
    """Three alpha schedules on moons, chosen by information maximisation; under a minute on two cores."""
    return Sweep(name="demo", recipe=moons(), suggest=suggest_schedule, trials=12, seeds=2)


SWEEPS: dict[str, Callable[[], Sweep]] = {"demo": demo}
