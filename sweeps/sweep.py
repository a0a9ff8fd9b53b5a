"""`Sweep`: what is searched, on which recipe, and by which score."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import optuna

from experiments.experiment import Experiment
from experiments.record import INFORMATION_MAXIMISATION, SELECTED
from grl.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A search over alpha schedules. The objective sees no target label."""

    name: str
    recipe: Experiment
    suggest: Callable[[optuna.Trial], Schedule]
    """Draws a schedule; parameters that exist under one schedule only carry its name."""
    trials: int
    seeds: int
    """Runs per trial, with seeds 0 to seeds - 1; the objective is their mean."""
    objective: str = SELECTED + INFORMATION_MAXIMISATION
    """A single number of a run's result, maximised."""

    def experiments(self, schedule: Schedule) -> list[Experiment]:
        """The runs of one trial."""
        return [dataclasses.replace(self.recipe, alpha=schedule, seed=seed) for seed in range(self.seeds)]
