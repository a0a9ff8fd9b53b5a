"""Who suggests the parameters of a trial."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import optuna

from experiments.randomness import derive_seed

VALUES_OF_A_GRID = 5


def build_sampler(name: str, seed: int, trial: int) -> optuna.samplers.BaseSampler:
    """Optuna's sampler of that name for one trial: a study that was interrupted goes on with the same suggestions.

    Args:
        name: tpe, random, quasi_random or grid.
        seed: Of the search.
        trial: The number of the trial.
    """
    own = derive_seed(seed, f"trial {trial}") % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "tpe":
                return optuna.samplers.TPESampler(seed=own, multivariate=True, group=True, constant_liar=True)
            case "random":
                return optuna.samplers.RandomSampler(seed=own)
            case "quasi_random":
                # The sequence's seed must not change from trial to trial; the trial's number is its place in it.
                # Whatever the first trial did not have is no part of the sequence.
                independent = optuna.samplers.RandomSampler(seed=own)
                return optuna.samplers.QMCSampler(
                    seed=seed, scramble=True, warn_independent_sampling=False, independent_sampler=independent
                )
            case "grid":
                return Grid(seed=own)
            case other:
                raise AssertionError(other)


class Grid(optuna.samplers.BruteForceSampler):
    """Every setting once.

    Attributes:
        is_exhausted: Whether the trial that was told last was the last one of the grid.
    """

    is_exhausted = False

    def after_trial(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        state: optuna.trial.TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Note the end of the grid: Optuna would stop its own loop, which is not running here, and so raises."""
        try:
            super().after_trial(study, trial, state, values)
        except RuntimeError:
            self.is_exhausted = True


class GridTrial:
    """A trial that suggests one of few values for each number, evenly or logarithmically spaced."""

    def __init__(self, trial: optuna.Trial):
        self._trial = trial

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""
        return self._trial.suggest_categorical(name, choices)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """One of five values between low and high."""
        shares = [place / (VALUES_OF_A_GRID - 1) for place in range(VALUES_OF_A_GRID)]
        if log:
            values = [math.exp(math.log(low) + share * (math.log(high) - math.log(low))) for share in shares]
        else:
            values = [low + share * (high - low) for share in shares]
        return self._trial.suggest_categorical(name, [float(f"{value:.6g}") for value in values])

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """One of the whole numbers from low to high, five at most."""
        count = min(VALUES_OF_A_GRID, high - low + 1)
        values = {round(low + place * (high - low) / max(1, count - 1)) for place in range(count)}
        return self._trial.suggest_categorical(name, sorted(values))
