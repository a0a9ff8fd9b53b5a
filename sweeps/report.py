"""What a study shows: who won, by how much on seeds that the search has not seen, and what that is worth."""

import dataclasses
import math
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
from results.statistics import LEVEL, Estimate, estimate_paired, holm
from sweeps.pruning import plan_stages
from sweeps.spaces import with_alpha
from sweeps.study import SHOWN, completed, read_last, read_last_seen, suggested
from sweeps.sweep import Sweep

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

    def accuracies(self, curve: str) -> np.ndarray:
        """Target accuracy at the last step, one a seed."""
        return np.array([read_last(run)[curve] for run in self.runs])


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
        values = [read_last(run).get(sweep.search.curve) for run in runs if is_finished(folder_of(run.hash))]
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
            seen = [[read_last_seen(run, need) for seeds in runs for run in seeds] for need in validator.needs]
            each = iter(validator.score(*map(np.stack, seen)))
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


def write_report(
    sweep: Sweep,
    study: optuna.Study,
    contenders: Sequence[Contender],
    sample: Sequence[FrozenTrial] = (),
    failed: Sequence[Contender] = (),
) -> str:
    """The report in Markdown; every run of the contenders must be done, and the recipe is one of them.

    Args:
        sweep: What was searched.
        study: What came of it.
        contenders: As `list_contenders` gives them.
        sample: Of the pruned trials; those that did not fail were trained to their end.
        failed: Contenders of which a run has failed.
    """
    trials, best, search = completed(study), study.best_trial, sweep.search
    accuracies = {contender.name: contender.accuracies(search.reported) for contender in contenders}
    promised, default = best.user_attrs[search.reported], next(each.name for each in contenders if names_default(each))
    first = next((name for name in accuracies if f"trial {best.number}" in name.split(" = ")), None)
    compared = {name: estimate_paired(each, accuracies[default]) for name, each in accuracies.items()}
    adjusted = dict(zip(compared, holm([each.p_value for each in compared.values()]), strict=True))
    lines = [
        f"# {sweep.study_name}",
        "",
        f"Recipe: {sweep.recipe.title}. {len(trials)} trials of {search.seeds} seeds, sampler {search.sampler}, "
        f"objective {search.objective} at the last step"
        + (" (**chosen by target labels**)." if search.sees_target_labels else "; no target label was used to choose."),
        "",
    ]
    if first is None:
        lines += [f"**The search chose {best.user_attrs[SHOWN]}, which failed on fresh seeds.**", ""]
    else:
        winner = accuracies[first]
        lines += [
            f"**{conclude(best.user_attrs[SHOWN], compared[first], len(winner))}**",
            "",
            f"In the search, trial {best.number} reached a target accuracy of {promised:.3f}; on {len(winner)} fresh "
            f"seeds it is {winner.mean():.3f}: the search was optimistic by {promised - winner.mean():+.3f}.",
            "",
        ]
    if search.pruner != "none":
        lines += [describe_pruning(sweep, study, sample), ""]
    lines += [
        f"| on fresh seeds, on {sweep.recipe.pair} | target accuracy | seeds' values | less the recipe | 95 % interval "
        "| p, Holm |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for name, values in sorted(accuracies.items(), key=lambda item: -item[1].mean()):
        spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
        each, shown = " ".join(f"{value:.3f}" for value in values), f"**{name}**" if name == first else name
        less = ["", "", ""]
        if name != default:
            mean, low, high, _ = compared[name]
            less[0] = f"{mean:+.3f}"
            less[1:] = ["", ""] if math.isnan(low) else [f"{low:+.3f} to {high:+.3f}", f"{adjusted[name]:.3f}"]
        lines.append(f"| {shown} | {values.mean():.3f}{spread} | {each} | {' | '.join(less)} |")
    lines += [f"| {contender.name} | failed | | | | |" for contender in failed]
    lines += ["", "p: paired t-test over seeds, adjusted over this table's comparisons (Holm)."]
    if families := best_of_families(trials):
        lines += ["", "| family | trials | best objective | its setting | its target accuracy in hindsight |"]
        lines += ["| --- | ---: | ---: | --- | ---: |"]
    for family, top in families.items():
        count = sum(trial.params.get("schedule") == family for trial in trials)
        hindsight = top.user_attrs[search.reported]
        lines.append(f"| {family} | {count} | {top.value:.4f} | {top.user_attrs[SHOWN]} | {hindsight:.3f} |")
    lines += ["", "| validator | regret: best trial's target accuracy less the chosen one's |", "| --- | ---: |"]
    lines += [f"| {name} | {cost:.3f} |" for name, cost in regrets(sweep, trials).items()]
    if shares := importances(study):
        lines += ["", "| parameter | share of the objective's variance |", "| --- | ---: |"]
        lines += [f"| {name} | {share:.2f} |" for name, share in shares.items()]
    return "\n".join(lines) + "\n"


def conclude(setting: str, compared: Estimate, seeds: int) -> str:
    """The one sentence: what was chosen, and whether it differs from the recipe by more than noise.

    The winner was named before its fresh seeds were trained: one test, at its own level.
    """
    difference, low, high, p_value = compared
    if math.isnan(p_value):
        return f"The search chose {setting}. With {seeds} fresh seeds nothing can be said of its difference."
    evidence = f"{difference:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}, p = {p_value:.3f}, n = {seeds}"
    if p_value < LEVEL:
        side = "above" if difference > 0 else "below"
        return f"The search chose {setting}: on fresh seeds it is {side} the recipe as it is ({evidence})."
    return f"The search chose {setting}: no difference from the recipe as it is beyond noise ({evidence})."
