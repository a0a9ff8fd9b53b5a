"""The validator study: what choosing without target labels costs, over every run that is recorded."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from experiments.errors import BadInput
from experiments.identity import origin_of
from experiments.validators import LAST
from results.artifacts import read_curves, read_evaluations
from results.caption import describe_origin
from results.cells import UPPER, name_cells
from results.document import Document, Grid
from results.drawing.base import Material
from results.judging import FEWEST_EVALUATIONS, FEWEST_PAIRS, FEWEST_SETTINGS, average, judge, key_settings, score_steps
from results.paired import LEVEL
from results.reading import FINISHED, list_experiments, read_runs
from results.selecting import report_last
from results.table import Request, Table, refuse_figures
from results.words import fraction, p_value

if TYPE_CHECKING:
    from mlflow import MlflowClient

HEADINGS = [
    "validator",
    "runs",
    "rank corr. of steps",
    "regret of steps",
    "worst",
    "settings",
    "rank corr. of settings",
    "regret of settings",
]


def make_study(client: "MlflowClient", request: Request) -> Table:
    """Every finished run that chose among steps, but those trained on target labels and those of reverse validation.

    Raises:
        BadInput: no run is recorded, or something is asked for that the study has not.
        Unreachable: the store does not answer.
    """
    refuse_figures(request, "study")
    if request.selection != LAST or request.mixed:
        raise BadInput(f"{request.name} judges every validator over all runs: it takes no --selection and no --mixed")
    recorded = read_runs(client, *list_experiments(client)["name"], where=request.where)
    finished = recorded.runs[(recorded.runs["status"] == FINISHED) & (recorded.runs["param.method"] != UPPER)]
    finished = finished[[not origin_of(pair)[1] for pair in finished["param.pair"]]]
    keys = key_settings(recorded.runs)
    failed = keys[recorded.runs["status"] != FINISHED]
    finished = finished.assign(lost=keys.isin(failed).loc[finished.index])
    runs = report_last(name_cells(finished, mixed=True))
    addresses = dict(zip(map(str, runs.index), runs["artifacts"], strict=True))
    curves, problems = read_curves(addresses)
    scores = score_steps(curves)
    by_pair, by_method = judge(runs, scores, "pair"), judge(runs, scores, "method")
    overall = average(by_pair)
    document = Document(
        name=request.name,
        grids=[
            _tabulate("over all pairs", overall, "mean over pairs"),
            _tabulate("pair by pair", by_pair, "pair"),
            _tabulate("method by method", by_method, "method"),
        ],
        sentences=put_into_words(overall, by_pair),
        notes=[
            "regret: target accuracy of the best step of a run less that of the step that a validator chooses; worst: "
            "the largest of a run; mean over runs, then over the pairs that it has scores of, whose number stands in "
            "brackets: means over different pairs do not rank",
            "rank corr.: Spearman's, of a validator's score with target accuracy over the steps of a run, mean over "
            "runs; and over settings, which are runs that differ in their seed alone, at their last step; one that "
            "lost a run is left out",
            f"last: the last step, whose score is its number; runs of fewer than {FEWEST_EVALUATIONS} evaluations and "
            f"pairs of fewer than {FEWEST_SETTINGS} settings are left out, and so are target only and the runs of "
            "reverse validation",
            "target labels measure the regret; they choose nothing",
        ],
        origin=describe_origin(runs, request.command),
    )
    material = Material(runs, by_pair, curves, lambda run_id: read_evaluations(run_id, addresses[run_id]))
    return Table(material, {"": overall, "_pairs": by_pair, "_methods": by_method}, document, problems)


def put_into_words(overall: pd.DataFrame, by_pair: pd.DataFrame) -> list[str]:
    """Which validator, when?"""
    lines = []
    steps = overall[overall["runs"] > 0].set_index("validator")
    if len(steps) > 1:
        pairs = steps["pairs"].max()
        everywhere = steps[steps["pairs"] == pairs]
        least, worst = str(everywhere["regret"].idxmin()), everywhere["worst"]
        safest = " and ".join(_name(str(name)) for name in worst.index[worst == worst.min()])
        ranked = by_pair[by_pair["validator"].isin(everywhere.index) & (by_pair["runs"] > 0)]
        regrets = ranked["regret"].round(9)
        wins = ranked["validator"][regrets == regrets.groupby(ranked["pair"]).transform("min")].value_counts()
        lines.append(
            f"which step? over {steps['runs'].max():.0f} runs, of the {len(everywhere)} with scores on all {pairs} "
            f"pairs {_name(least)} has the smallest mean regret, {fraction(steps['regret'][least])} "
            f"({fraction(worst[least])} at worst); at worst the smallest, {fraction(worst.min())}: {safest}; "
            "the last step has "
            f"{fraction(steps['regret'].get(LAST, np.nan))} ({fraction(steps['worst'].get(LAST, np.nan))} at worst); "
            f"smallest of a pair, alone or with others, most often: {_name(str(wins.index[0]))}, on {wins.iloc[0]}"
        )
        shown = steps[steps["p_holm"] < LEVEL]
        if steps["p_holm"].isna().all():
            lines.append(f"no test of that: fewer than {FEWEST_PAIRS} pairs, or no spread")
        elif shown.empty:
            lines.append("none is shown to differ from taking the last step (paired t-test over pairs, Holm)")
        for name, row in shown.iterrows():
            side = "below" if row["less_than_last"] < 0 else "above"
            size = fraction(abs(row["less_than_last"]))
            lines.append(f"{_name(str(name))}: regret {side} the last step's by {size} ({p_value(row['p_holm'])})")
    settings = overall[overall["settings"] > 0].set_index("validator")
    if len(settings):
        pairs = settings["settings_pairs"].max()
        settings = settings[settings["settings_pairs"] == pairs]
        least, most = (
            str(settings["settings_regret"].idxmin()),
            str(settings["settings_correlation"].idxmax()),
        )
        lines.append(
            f"which setting? among {settings['settings'].max():.0f} settings, of the {len(settings)} with scores on "
            f"all {pairs} pairs {_name(least)} has the smallest mean regret, "
            f"{fraction(settings['settings_regret'][least])}, and {_name(most)} the largest rank correlation, "
            f"{fraction(settings['settings_correlation'][most])}"
        )
    return lines or ["no run has enough evaluations, and no pair enough settings: nothing is judged"]


def _name(validator: str) -> str:
    return validator.replace("_", " ")


def _tabulate(title: str, frame: pd.DataFrame, by: str) -> Grid:
    rows = [
        [
            _name(row["validator"]),
            _count(row, "runs", "pairs"),
            *(fraction(row[name]) for name in ("correlation", "regret", "worst")),
            _count(row, "settings", "settings_pairs"),
            *(fraction(row[name]) for name in ("settings_correlation", "settings_regret")),
        ]
        for row in frame.to_dict("records")
    ]
    groups = [str(value) for value in frame[by]] if by in frame else [by] * len(rows)
    counted = [f"{name} (pairs)" if name in ("runs", "settings") and "pairs" in frame else name for name in HEADINGS]
    return Grid(title, counted, rows, 1, groups)


def _count(row: dict[Any, Any], name: str, pairs: str) -> str:
    return f"{row[name]} ({row[pairs]})" if row[name] and pairs in row else str(row[name] or "")
