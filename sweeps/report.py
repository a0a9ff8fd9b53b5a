"""What a study shows: who is confirmed on seeds that the search has not seen, and what validators and pruning cost."""

import dataclasses
import random
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from experiments.experiment import Experiment
from experiments.methods import Adversarial
from experiments.record.folder import folder_of, is_finished
from experiments.validators import VALIDATORS
from grl import presets
from sweeps.pruning import plan_stages
from sweeps.spaces import with_alpha
from sweeps.study import completed, read_last, read_last_seen, suggested
from sweeps.sweep import Search, Sweep

FRESH = 1000  # the first seed of the confirmation; searches count from 0
SAMPLE = 3  # of the pruned trials, trained to their end
DEFAULT, PAPER = "the recipe as it is", "the paper's ramp"
PEERS = {
    "the authors' Caffe layer": presets.CAFFE,
    "Transfer-Learning-Library": presets.TRANSFER_LEARNING_LIBRARY,
    "DeepDA": presets.DEEP_DA,
    "adapt": presets.ADAPT,
}


@dataclass(frozen=True)
class Contender:
    """A setting and its runs on fresh seeds."""

    name: str
    runs: list[Experiment]

    def accuracies(self, search: Search) -> np.ndarray:
        """Target accuracy at the last step, one a seed."""
        return np.array([read_last(run, search)[search.reported] for run in self.runs])


def names_default(contender: Contender) -> bool:
    """Whether the recipe as it is is, or is among, what a contender stands for."""
    return DEFAULT in contender.name.split(" = ")


def list_contenders(sweep: Sweep, study: optuna.Study, seeds: int) -> list[Contender]:
    """The winner, the recipe as it is, the best of every other family, and, where there is an alpha, the paper's
    schedule and four peers'.

    Settings that are the same over the steps of this recipe are one contender.
    """
    best = study.best_trial
    settings = {f"trial {best.number}": suggested(sweep, best), DEFAULT: sweep.recipe}
    for family, trial in best_of_families(completed(study)).items():
        if trial.number != best.number:
            settings[f"best {family}: trial {trial.number}"] = suggested(sweep, trial)
    if isinstance(sweep.recipe.method, Adversarial):
        settings |= {name: with_alpha(sweep.recipe, alpha) for name, alpha in {PAPER: presets.PAPER, **PEERS}.items()}
    same: dict[object, list[str]] = {}
    for name, setting in settings.items():
        same.setdefault(_course(setting), []).append(name)
    return [
        Contender(
            " = ".join(names), [dataclasses.replace(settings[names[0]], seed=FRESH + seed) for seed in range(seeds)]
        )
        for names in same.values()
    ]


def _course(setting: Experiment) -> object:
    # Equal for settings that train alike: the experiment, with alpha's course over its steps in place of alpha.
    setting = dataclasses.replace(setting, seed=0)
    if not isinstance(setting.method, Adversarial):
        return setting.hash
    steps, alpha = setting.steps, setting.method.alpha
    course = tuple(round(alpha(step / steps, step=step), 9) for step in range(0, steps, max(1, steps // 100)))
    return with_alpha(setting, presets.PAPER).hash, course


def best_of_families(trials: Sequence[FrozenTrial]) -> dict[str, FrozenTrial]:
    """The best trial of every family of schedules; none where the space has no families."""
    families: dict[str, FrozenTrial] = {}
    for trial in sorted(trials, key=lambda trial: trial.value or 0.0):
        if "schedule" in trial.params:
            families[str(trial.params["schedule"])] = trial
    return dict(sorted(families.items(), key=lambda item: -(item[1].value or 0.0)))


def draw_sample(sweep: Sweep, study: optuna.Study) -> list[FrozenTrial]:
    """A few of the pruned trials, the same ones every time."""
    pruned = study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    return sorted(
        random.Random(sweep.search.seed).sample(pruned, min(SAMPLE, len(pruned))), key=lambda trial: trial.number
    )


def describe_pruning(sweep: Sweep, study: optuna.Study, sample: Sequence[FrozenTrial]) -> str:
    """What pruning saved, and whether it threw away the winner, by a sample that was trained to its end."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    stages = plan_stages(sweep.search, sweep.experiments(sweep.recipe))
    whole = sum(stage.steps for stage in stages)
    spent = sum(
        sum(stage.steps for stage in stages[: len(trial.intermediate_values)]) if trial in pruned else whole
        for trial in trials
    )
    text = (
        f"{sweep.search.pruner.capitalize()} pruned {len(pruned)} of {len(trials)} trials and saved "
        f"{1 - spent / (whole * len(trials)):.0%} of the steps ({spent:,} of {whole * len(trials):,} were trained)."
    )
    if not sample:
        return text
    best = study.best_trial
    ends = {}
    for trial in sample:
        runs = sweep.experiments(suggested(sweep, trial))
        values = [
            read_last(run, sweep.search).get(sweep.search.curve) for run in runs if is_finished(folder_of(run.hash))
        ]
        if len(scores := [value for value in values if value is not None]) == len(runs):
            ends[trial.number] = statistics.fmean(scores)
    failed = len(sample) - len(ends)
    better = [f"trial {number} ({value:.4f})" for number, value in ends.items() if value > (best.value or 0.0)]
    shown = ", ".join(f"trial {number} {value:.4f}" for number, value in ends.items())
    verdict = f"{' and '.join(better)} would have beaten" if better else "none would have beaten"
    return (
        f"{text} {len(ends)} of them, drawn at random, were trained to their end ({shown}"
        f"{f'; {failed} more failed' * bool(failed)}): {verdict} trial {best.number} ({best.value:.4f})."
    )


def regrets(sweep: Sweep, trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """What each validator would have cost: the best trial's target accuracy less that of the trial it would choose.

    Means over the seeds of a trial; a validator whose scores were not recorded is left out. One that compares
    candidates compares the last evaluations of all runs.
    """
    accuracy = [trial.user_attrs[sweep.search.reported] for trial in trials]
    costs = {}
    for name, validator in VALIDATORS.items():
        if validator.compares:
            runs = [sweep.experiments(suggested(sweep, trial)) for trial in trials]
            seen = [read_last_seen(run) for seeds in runs for run in seeds]
            each = iter(validator.score(*(np.stack([arrays[need] for arrays in seen]) for need in validator.needs)))
            scores = [statistics.fmean(float(next(each)) for _ in seeds) for seeds in runs]
        elif all(validator.curve in trial.user_attrs for trial in trials):
            scores = [trial.user_attrs[validator.curve] for trial in trials]
        else:
            continue
        costs[name] = max(accuracy) - accuracy[int(np.argmax(scores))]
    return costs


def importances(study: optuna.Study) -> dict[str, float]:
    """Share of the objective's variance that each parameter explains (fANOVA), of those that every trial has."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            return optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # too few trials, or no spread
        return {}
