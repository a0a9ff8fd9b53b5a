"""The report of a study as a document, which every format of results renders."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial

from experiments.record import names
from experiments.record.files import read_json
from experiments.record.folder import folder_of, read_status
from results.caption import describe_origin
from results.document import Document, Grid
from results.paired import LEVEL, Estimate, estimate_paired
from results.reading import FINISHED
from results.statistics import holm
from results.words import MARK
from sweeps.report import DEFAULT, Contender, best_of_families, describe_pruning, importances, names_default, regrets
from sweeps.study import SHOWN, completed
from sweeps.sweep import Sweep


def describe_study(
    sweep: Sweep,
    study: optuna.Study,
    contenders: Sequence[Contender],
    sample: Sequence[FrozenTrial] = (),
    failed: Sequence[Contender] = (),
    figures: Sequence[Path] = (),
) -> Document:
    """The report; every run of the contenders must be done, and the recipe is one of them.

    Args:
        sweep: What was searched.
        study: What came of it.
        contenders: As `list_contenders` gives them.
        sample: Of the pruned trials; those that did not fail were trained to their end.
        failed: Contenders of which a run has failed.
        figures: PNG files.
    """
    trials, search = completed(study), sweep.search
    mark = f" {MARK}" * search.sees_target_labels  # what the search chose
    labels = f"{MARK} chosen by target labels" if search.sees_target_labels else "no target label was used to choose"
    shown = {each.name: each.name + mark * ("trial " in each.name) for each in (*contenders, *failed)}
    accuracies = {contender.name: contender.accuracies(search) for contender in contenders}
    default = next(each.name for each in contenders if names_default(each))
    compared = {name: estimate_paired(each, accuracies[default]) for name, each in accuracies.items()}
    return Document(
        name=sweep.study_name,
        grids=[
            _tabulate_contenders(accuracies, compared, default, shown),
            _tabulate_seeds(accuracies, [run.seed for run in contenders[0].runs], shown),
            _tabulate_families(trials, search.reported, mark),
            _tabulate_numbers("what a validator would have cost", "validator", "regret", regrets(sweep, trials), 3),
            _tabulate_numbers("what the objective depends on", "parameter", "share", importances(study), 2),
        ],
        sentences=[
            *_say_what_won(sweep, study, accuracies, compared),
            *([describe_pruning(sweep, study, sample)] if search.pruner != "none" else []),
        ],
        notes=[
            f"{sweep.recipe.title}: {len(trials)} trials of {search.seeds} seeds, sampler {search.sampler}, objective "
            f"{search.objective} at the last step; {labels}",
            "accuracies are on the target; less: less that of the recipe as it is, with its 95 % interval; p: paired "
            "t-test over seeds, adjusted over this table's comparisons (Holm)",
            "in the search: of the seeds that chose, so optimistic",
            "regret: the best trial's target accuracy less that of the trial which the validator would choose; "
            "share: of the objective's variance (fANOVA)",
        ],
        origin=_describe_origin(sweep, contenders),
        figures={path.name: path.read_bytes() for path in figures},
    )


def _tabulate_contenders(
    accuracies: Mapping[str, np.ndarray], compared: Mapping[str, Estimate], default: str, shown: Mapping[str, str]
) -> Grid:
    adjusted = dict(zip(compared, holm([each.p_value for each in compared.values()]), strict=True))
    rows = []
    for name, values in sorted(accuracies.items(), key=lambda item: -item[1].mean()):
        spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
        less = ["", "", ""]
        if name != default:
            mean, low, high, _ = compared[name]
            less[0] = f"{mean:+.3f}"
            less[1:] = ["", ""] if math.isnan(low) else [f"{low:+.3f} to {high:+.3f}", f"{adjusted[name]:.3f}"]
        rows.append([shown[name], f"{values.mean():.3f}{spread}", *less])
    rows += [[title, "failed", "", "", ""] for name, title in shown.items() if name not in accuracies]
    return _grid("on fresh seeds", ["setting", "accuracy", "less", "interval", "p"], rows)


def _tabulate_seeds(accuracies: Mapping[str, np.ndarray], seeds: Sequence[int], shown: Mapping[str, str]) -> Grid:
    rows = [[shown[name], *(f"{value:.3f}" for value in values)] for name, values in accuracies.items()]
    return _grid("accuracy of each seed", ["setting", *map(str, seeds)], rows)


def _tabulate_families(trials: Sequence[FrozenTrial], reported: str, mark: str) -> Grid:
    rows = []
    for family, top in best_of_families(trials).items():
        count = sum(trial.params.get("schedule") == family for trial in trials)
        setting, accuracy = f"{top.user_attrs[SHOWN]}{mark}", top.user_attrs[reported]
        rows.append([setting, str(count), f"{top.value:.4f}", f"{accuracy:.3f}"])
    return _grid("the best of each family, in the search", ["setting", "trials", "objective", "accuracy"], rows)


def _tabulate_numbers(title: str, name: str, number: str, values: Mapping[str, float], digits: int) -> Grid:
    return _grid(title, [name, number], [[each, f"{value:.{digits}f}"] for each, value in values.items()])


def _grid(title: str, headings: list[str], rows: list[list[str]]) -> Grid:
    return Grid(title, headings, rows, names=1, groups=[""] * len(rows))


def _say_what_won(
    sweep: Sweep, study: optuna.Study, accuracies: Mapping[str, np.ndarray], compared: Mapping[str, Estimate]
) -> list[str]:
    best = study.best_trial
    setting, promised = best.user_attrs[SHOWN], best.user_attrs[sweep.search.reported]
    first = next((name for name in accuracies if f"trial {best.number}" in name.split(" = ")), None)
    if first is None:
        return [f"The search chose {setting}, which failed on fresh seeds."]
    winner, is_recipe = accuracies[first], DEFAULT in first.split(" = ")
    return [
        f"The search chose {setting}{f', {DEFAULT}' * (setting != DEFAULT)}."
        if is_recipe
        else conclude(setting, compared[first], len(winner)),
        f"In the search, trial {best.number} reached a target accuracy of {promised:.3f}; on {len(winner)} fresh seeds "
        f"it is {winner.mean():.3f}: the search was optimistic by {promised - winner.mean():+.3f}.",
    ]


def _describe_origin(sweep: Sweep, contenders: Sequence[Contender]) -> str:
    rows = []
    for contender in contenders:
        for folder in (folder_of(run.hash) for run in contender.runs):
            described, status = read_json(folder / names.RUN), read_status(folder)
            assert described
            assert status
            own = {"pair": sweep.recipe.pair, "recipe": "", "method": contender.name, "variant": ""}
            tags = {f"tag.{name}": value for name, value in described["tags"].items()}
            rows.append({**own, "end": pd.Timestamp(status["time_ms"], unit="ms"), **tags})
    return describe_origin(pd.DataFrame(rows).assign(status=FINISHED), sweep.command("report"))


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
