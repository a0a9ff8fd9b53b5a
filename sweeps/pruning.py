"""Which trials are given up before their end: over steps, or over seeds; by the objective, as the search sees it.

A trial is trained in stages, and judged after each. Its runs stop at the end of a stage with a checkpoint and go on
from there, so the judgement depends on what is recorded alone, never on how fast somebody looked.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import optuna

from experiments.experiment import Experiment
from sweeps.sweep import REDUCTION, WILCOXON_P, Search


@dataclass(frozen=True)
class Stage:
    """What is trained of a trial before it is judged again.

    Attributes:
        runs: Those that are trained now.
        until: The step after which they stop; None for their end.
        mark: What the judgement is reported under: number of evaluations, or seed.
        steps: How many steps of how many runs it takes, all together.
    """

    runs: tuple[Experiment, ...]
    until: int | None
    mark: int
    steps: int


def plan_stages(search: Search, runs: Sequence[Experiment]) -> list[Stage]:
    """The stages of a trial.

    Args:
        search: Its pruner decides: one stage without, one for every seed with wilcoxon; median and hyperband look after
            1, 3, 9, … evaluations of all seeds.
        runs: One for each seed.
    """
    steps, every = runs[0].steps, runs[0].evaluate_every
    if search.pruner == "wilcoxon":
        return [Stage((run,), None, run.seed, steps) for run in runs]
    stages, mark, before = [], 1, 0
    while search.pruner != "none" and mark * every < steps:
        stages.append(Stage(tuple(runs), mark * every, mark, (mark * every - before) * len(runs)))
        mark, before = mark * REDUCTION, mark * every
    return [*stages, Stage(tuple(runs), None, count_evaluations(runs[0]), (steps - before) * len(runs))]


def count_evaluations(experiment: Experiment) -> int:
    """How often a run is measured; the end is measured in any case."""
    return -(-experiment.steps // experiment.evaluate_every)


def build_pruner(search: Search, recipe: Experiment) -> optuna.pruners.BasePruner:
    """Optuna's pruner of that name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match search.pruner:
            case "none":
                return optuna.pruners.NopPruner()
            case "median":
                return optuna.pruners.MedianPruner()
            case "hyperband":
                most = count_evaluations(recipe)
                return optuna.pruners.HyperbandPruner(max_resource=most, reduction_factor=REDUCTION)
            case "wilcoxon":
                return optuna.pruners.WilcoxonPruner(p_threshold=WILCOXON_P)
            case other:
                raise AssertionError(other)
