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
    """Every setting once."""

    def is_over(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether no setting is left beside those that were asked for, of which `trial` is one."""
        try:
            super().after_trial(study, trial, optuna.trial.TrialState.COMPLETE, [0.0])
        except RuntimeError:  # Optuna would stop its own loop, which is not running here
            return True
        return False

    def after_trial(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        state: optuna.trial.TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Nothing: the grid's end is known when its last setting is asked for."""


class GridTrial:
    """A trial that suggests one of few values for each number, evenly or logarithmically spaced."""

    def __init__(self, trial: optuna.Trial):
        self._trial = trial

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""
        return self._trial.suggest_categorical(name, choices)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """One of five values between low and high, or fewer where steps are longer."""
        values = _spread(low, high, log)
        if step is not None:
            values = [low + round((value - low) / step) * step for value in values]
        values = [float(f"{value:.6g}") for value in values]
        return self._trial.suggest_categorical(name, list(dict.fromkeys(value for value in values if value <= high)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """One of the whole numbers from low to high, five at most."""
        values = [low + round((value - low) / step) * step for value in _spread(low, high, log)]
        return self._trial.suggest_categorical(name, list(dict.fromkeys(value for value in values if value <= high)))


def _spread(low: float, high: float, log: bool) -> list[float]:
    shares = [place / (VALUES_OF_A_GRID - 1) for place in range(VALUES_OF_A_GRID)]
    if log:
        return [math.exp(math.log(low) + share * (math.log(high) - math.log(low))) for share in shares]
    return [low + share * (high - low) for share in shares]
