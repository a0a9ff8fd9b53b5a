"""`Sweep`: what is searched, on which recipe, by which score and how."""

import dataclasses
import hashlib
import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import optuna

from experiments.errors import BadInput, unknown
from experiments.experiment import Experiment
from experiments.identity import name_of
from experiments.record.names import TARGET_ACCURACY, TARGET_REST_ACCURACY
from experiments.validators import TARGET_ORACLE, VALIDATORS, curve_of, find_validator

Suggest = Callable[[Experiment, optuna.Trial], Experiment]
SAMPLERS = ("tpe", "random", "quasi_random", "grid")
PRUNERS = ("none", "median", "hyperband", "wilcoxon")
REDUCTION = 3  # between the evaluations after which trials are judged
# One-sided, of the signed ranks of n seeds it can be as small as 1 / 2^n: below .1 from 4 seeds on.
WILCOXON_P, FEWEST_WILCOXON_SEEDS = 0.1, 5


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a sweep searches."""

    trials: int = 12
    """How many settings are tried."""
    seeds: int = 2
    """Runs per trial, with seeds 0, 1, …; the objective is their mean."""
    objective: str = "information_maximisation"
    """The score that is maximised: a validator, which sees no target label, or target_oracle, which does."""
    sampler: Literal["tpe", "random", "quasi_random", "grid"] = "tpe"
    """Who suggests: tpe (multivariate, grouped), random, quasi_random, or grid with 5 values for each number."""
    pruner: Literal["none", "median", "hyperband", "wilcoxon"] = "none"
    """Who gives trials up before their end: median or hyperband after 1, 3, 9, … evaluations, wilcoxon after a seed."""
    seed: int = 0
    """Of the sampler; the runs of every trial have seeds 0, 1, …"""

    def __post_init__(self) -> None:
        for name in ("trials", "seeds"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise BadInput(f"seed must be >= 0, got {self.seed}")
        for name, known in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        if self.pruner == "wilcoxon" and self.seeds < FEWEST_WILCOXON_SEEDS:
            raise BadInput(f"seeds must be >= {FEWEST_WILCOXON_SEEDS} for pruner wilcoxon, got {self.seeds}")
        if self.pruner != "none" and self.sees_target_labels:
            raise BadInput(f"pruner must be none with objective {TARGET_ORACLE}: no trial is given up by target labels")
        if self.pruner == "hyperband" and self.sampler == "grid":
            raise BadInput("pruner hyperband must have another sampler than grid: each of its brackets is a grid anew")
        if self.objective != TARGET_ORACLE and self.objective not in VALIDATORS and not self.is_own:
            raise unknown("objective", self.objective, (*VALIDATORS, TARGET_ORACLE))
        if self.objective != TARGET_ORACLE and find_validator(self.objective).compares:
            raise BadInput(
                f"objective {self.objective} compares the evaluations of one run and gives none a score alone"
            )
        if self.is_own and self.pruner in ("median", "hyperband"):
            raise BadInput(
                f"pruner must be none or wilcoxon with objective {self.objective}, got {self.pruner}: runs do "
                "not record its score, which is computed of what they leave at their end"
            )

    @property
    def is_own(self) -> bool:
        """Whether the objective is a validator of the user's own."""
        return ":" in self.objective

    @property
    def curve(self) -> str:
        """The recorded curve whose last value is the objective."""
        return curve_of(self.objective)

    @property
    def reported(self) -> str:
        """The recorded curve of the target accuracy that is told, of samples that did not choose."""
        return TARGET_REST_ACCURACY if self.sees_target_labels else TARGET_ACCURACY

    @property
    def sees_target_labels(self) -> bool:
        """Whether target labels choose."""
        return self.objective == TARGET_ORACLE


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A search over experiments.

    Attributes:
        name: Of the sweep, as in `python -m sweeps run NAME`.
        recipe: What is varied.
        suggest: Returns the recipe with what a trial suggests in its place; a parameter that exists under one choice
            only carries the name of that choice, as `ganin.gamma`.
        search: How.
        typed: NAME and OPTIONS that stand for it on the command line; its name unless told.
    """

    name: str
    recipe: Experiment
    suggest: Suggest
    search: Search = field(default_factory=Search)
    typed: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not inspect.isfunction(self.suggest):  # its source is part of the study's identity
            raise BadInput(f"suggest of sweep {self.name} must be a function, got {self.suggest!r}")
        if not re.fullmatch(r"[\w.+-]+", self.name):  # of a folder, and in questions to MLflow
            raise BadInput(f"name of a sweep must be of letters, digits and _ . + -, got {self.name!r}")
        if self.search.pruner in ("median", "hyperband") and self.recipe.evaluate_every >= self.recipe.steps:
            raise BadInput(
                f"pruner {self.search.pruner} judges before the end: evaluate_every must be < steps "
                f"({self.recipe.steps}), got {self.recipe.evaluate_every}"
            )

    def command(self, verb: str) -> str:
        """The command line that does something with this sweep."""
        return f"python -m sweeps {verb} {self.typed or self.name}"

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two studies one: recipe, space, objective, seeds and sampler; not the number of trials."""
        search = dataclasses.asdict(self.search)
        del search["trials"]
        source = hashlib.sha256(inspect.getsource(self.suggest).encode()).hexdigest()[:16]
        recipe = {name: value for name, value in self.recipe.flat().items() if name != "seed"}
        return {"recipe": recipe, "space": f"{name_of(self.suggest)} {source}", "search": search}

    @property
    def study_name(self) -> str:
        """The sweep's name and eight digits of its identity."""
        text = json.dumps(self.identity, sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def experiments(self, experiment: Experiment) -> list[Experiment]:
        """The runs of one trial."""
        return [dataclasses.replace(experiment, seed=seed) for seed in range(self.search.seeds)]
