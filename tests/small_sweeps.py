"""Small sweeps for the tests; importable by worker processes."""

from grl.schedules import Constant
from sweeps.sweep import Sweep
from tests.small_runs import small_moons


def suggest_constant(trial) -> Constant:
    return Constant(value=trial.suggest_float("constant.value", 0.1, 3.0, log=True))


def suggest_ruin(trial) -> Constant:
    """A constant that is harmless in even trials and ruinous in odd ones."""
    trial.suggest_float("constant.value", 0.1, 3.0)
    return Constant(value=1e30 if trial.number % 2 else 0.5)


def small_sweep(**changes) -> Sweep:
    fields = {"name": "small", "recipe": small_moons(), "suggest": suggest_constant, "trials": 3, "seeds": 2}
    return Sweep(**(fields | changes))
