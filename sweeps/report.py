"""What a study shows: who won, by how much on seeds that the search has not seen, and what that is worth."""

import dataclasses
import math
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from scipy import stats

from experiments.experiment import Experiment
from experiments.methods import Adversarial
from experiments.record.names import TARGET_ACCURACY
from experiments.validators import VALIDATORS
from grl import presets
from sweeps.spaces import with_alpha
from sweeps.study import SHOWN, read_last, read_last_seen, suggested
from sweeps.sweep import Sweep

FRESH = 1000  # the first seed of the confirmation; searches count from 0
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

    def accuracies(self) -> np.ndarray:
        """Target test accuracy at the last step, one a seed."""
        return np.array([read_last(run)[TARGET_ACCURACY] for run in self.runs])


def completed(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have a value."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def list_contenders(sweep: Sweep, study: optuna.Study, seeds: int) -> list[Contender]:
    """The winner, the recipe as it is, and, where there is an alpha, four peers' schedules.

    Peers whose schedules are the same over the steps of this recipe are one contender.
    """
    best, steps = study.best_trial, sweep.recipe.steps
    settings = {f"trial {best.number}": suggested(sweep, best), "the recipe as it is": sweep.recipe}
    if isinstance(sweep.recipe.method, Adversarial):
        same: dict[tuple[float, ...], list[str]] = {}
        for name, alpha in PEERS.items():
            course = tuple(round(alpha(step / steps, step=step), 9) for step in range(0, steps, max(1, steps // 100)))
            same.setdefault(course, []).append(name)
        settings |= {" = ".join(names): with_alpha(sweep.recipe, PEERS[names[0]]) for names in same.values()}
    return [
        Contender(name, [dataclasses.replace(each, seed=FRESH + seed) for seed in range(seeds)])
        for name, each in settings.items()
    ]


def regrets(sweep: Sweep, trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """What each validator would have cost: the best trial's target accuracy less that of the trial it would choose.

    Means over the seeds of a trial; a validator whose scores were not recorded is left out. One that compares
    candidates compares the last evaluations of all runs.
    """
    runs = [sweep.experiments(suggested(sweep, trial)) for trial in trials]
    last = [[read_last(run) for run in seeds] for seeds in runs]
    accuracy = [statistics.fmean(values[TARGET_ACCURACY] for values in seeds) for seeds in last]
    costs = {}
    for name, validator in VALIDATORS.items():
        if validator.compares:
            seen = [[read_last_seen(run, need) for seeds in runs for run in seeds] for need in validator.needs]
            each = iter(validator.score(*map(np.stack, seen)))
            scores = [statistics.fmean(float(next(each)) for _ in seeds) for seeds in runs]
        elif all(validator.curve in values for seeds in last for values in seeds):
            scores = [statistics.fmean(values[validator.curve] for values in seeds) for seeds in last]
        else:
            continue
        costs[name] = max(accuracy) - accuracy[int(np.argmax(scores))]
    return costs


def importances(study: optuna.Study) -> dict[str, float]:
    """Share of the objective's variance that each parameter explains (fANOVA), of those that every trial has."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return optuna.importance.get_param_importances(study)
    except (ValueError, RuntimeError):  # too few trials, or no spread
        return {}


def write_report(sweep: Sweep, study: optuna.Study, contenders: Sequence[Contender]) -> str:
    """The report in Markdown; every run of the contenders must be done."""
    trials, best, search = completed(study), study.best_trial, sweep.search
    winner, default = contenders[0].accuracies(), contenders[1].accuracies()
    promised = best.user_attrs[TARGET_ACCURACY]
    lines = [
        f"# {sweep.study_name}",
        "",
        f"Recipe: {sweep.recipe.title}. {len(trials)} trials of {search.seeds} seeds, sampler {search.sampler}, "
        f"objective {search.objective} at the last step"
        + (" (**chosen by target labels**)." if search.sees_target_labels else "; no target label was used to choose."),
        "",
        f"**{_conclude(sweep, best, winner, default)}**",
        "",
        f"In the search, trial {best.number} reached a target accuracy of {promised:.3f}; on {len(winner)} fresh seeds "
        f"it is {winner.mean():.3f}: the search was optimistic by {promised - winner.mean():+.3f}.",
        "",
        "| on fresh seeds | target accuracy | seeds' values | less the recipe | 95 % interval |",
        "| --- | ---: | --- | ---: | ---: |",
    ]
    for contender in contenders:
        values = contender.accuracies()
        spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
        each = " ".join(f"{value:.3f}" for value in values)
        low, high, _ = paired_interval(values, default)
        interval = "" if contender is contenders[1] or math.isnan(low) else f"{low:+.3f} to {high:+.3f}"
        less = "" if contender is contenders[1] else f"{values.mean() - default.mean():+.3f}"
        lines.append(f"| {contender.name} | {values.mean():.3f}{spread} | {each} | {less} | {interval} |")
    families: dict[str, list[FrozenTrial]] = {}
    for trial in trials:
        families.setdefault(str(trial.params.get("schedule", "all")), []).append(trial)
    lines += ["", "| family | trials | best objective | its setting | its target accuracy in hindsight |"]
    lines += ["| --- | ---: | ---: | --- | ---: |"]
    for family, members in sorted(families.items(), key=lambda item: -max(trial.value or 0 for trial in item[1])):
        top = max(members, key=lambda trial: trial.value or 0)
        hindsight = top.user_attrs[TARGET_ACCURACY]
        lines.append(f"| {family} | {len(members)} | {top.value:.4f} | {top.user_attrs[SHOWN]} | {hindsight:.3f} |")
    lines += ["", "| validator | regret: best trial's target accuracy less the chosen one's |", "| --- | ---: |"]
    lines += [f"| {name} | {cost:.3f} |" for name, cost in regrets(sweep, trials).items()]
    if shares := importances(study):
        lines += ["", "| parameter | share of the objective's variance |", "| --- | ---: |"]
        lines += [f"| {name} | {share:.2f} |" for name, share in shares.items()]
    return "\n".join(lines) + "\n"


def paired_interval(values: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
    """95 % interval of the mean difference, and the two-sided p, of the paired t-test; NaN for fewer than two seeds or
    without any spread."""
    if len(values) < 2 or np.ptp(values - reference) == 0:
        return math.nan, math.nan, math.nan
    test = stats.ttest_rel(values, reference)
    interval = test.confidence_interval()
    return float(interval.low), float(interval.high), float(test.pvalue)


def _conclude(sweep: Sweep, best: FrozenTrial, winner: np.ndarray, default: np.ndarray) -> str:
    low, high, p_value = paired_interval(winner, default)
    setting, difference = best.user_attrs[SHOWN], winner.mean() - default.mean()
    if math.isnan(p_value):
        return f"The search chose {setting}. With {len(winner)} fresh seeds nothing can be said of its difference."
    evidence = f"{difference:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}, p = {p_value:.3f}, n = {len(winner)}"
    if p_value < 0.05:
        side = "above" if difference > 0 else "below"
        return f"The search chose {setting}: on fresh seeds it is {side} the recipe as it is ({evidence})."
    return f"The search chose {setting}: no difference from the recipe as it is beyond noise ({evidence})."
