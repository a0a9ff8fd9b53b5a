"""The alpha atlas: which family of alpha schedules wins on which pair, of all sweeps over schedules."""

from typing import TYPE_CHECKING

import pandas as pd

from experiments.errors import BadInput
from experiments.record import names
from experiments.record.store import answering
from experiments.saying import round_number
from experiments.validators import LAST, TARGET_ORACLE, find_validator
from results.caption import describe_mixtures, describe_origin
from results.cells import drop_repeated, name_cells
from results.document import Document, Grid
from results.drawing.base import Material
from results.judging import key_settings
from results.reading import FINISHED, read_runs, search
from results.selecting import report_last
from results.table import Request, Table, refuse_figures
from results.words import MARK, fraction, title_cell

if TYPE_CHECKING:
    from mlflow import MlflowClient

SWEPT = "sweep_alpha"  # begins the name of every MLflow experiment of a sweep over schedules
CONFIRMED = "_confirmation"  # ends that of the runs on fresh seeds, of chosen settings alone
ALPHA = "param.method.alpha"
PARENT = "tag.mlflow.parentRunId"
COMPLETE = "COMPLETE"
OBJECTIVE = "information_maximisation"  # chooses, unless another validator is asked for
PLACE = ["pair", "recipe", "method", "variant"]  # within which families compete; variant: of the fields beside alpha
COLUMNS = [*PLACE, "pair_title", "family", "settings", "setting", "seeds", "score", "accuracy", "sd", "best", "regret"]


def make_atlas(client: "MlflowClient", request: Request) -> Table:
    """Each family's setting that a validator chooses, and what its best one would have given.

    Raises:
        BadInput: no sweep over schedules is recorded, none of its trials is complete, the validator's scores are not
            recorded, or what is asked for is no validator, or a figure.
        Unreachable: the store does not answer.
    """
    refuse_figures(request)
    if request.selection in (LAST, TARGET_ORACLE):
        raise BadInput(f"selection must be a validator, which chooses settings here, got {request.selection}")
    with answering("the MLflow store does not list its experiments"):
        listed = {each.name: each.experiment_id for each in client.search_experiments()}
    found = [title for title in listed if title.startswith(SWEPT) and not title.endswith(CONFIRMED)]
    if not found:
        raise BadInput("no sweep over alpha schedules is recorded; make one with: python -m sweeps run alpha_atlas")
    recorded = read_runs(client, *found, where=request.where)
    finished = recorded.runs[(recorded.runs["status"] == FINISHED) & recorded.runs[ALPHA].notna()]
    # What is left of a trial that lost a seed, or was pruned, is no fair sample of its setting.
    trials = search(client, [listed[title] for title in found], kind="trial")
    broken = {trial["run_id"] for trial in trials if trial.get(f"tag.{names.STATE}") != COMPLETE}
    runs = finished[~finished.get(PARENT, pd.Series("", finished.index)).isin(broken)]
    if runs.empty:
        raise BadInput("no trial of a sweep over alpha schedules is complete; go on with: python -m sweeps run NAME")
    incomplete = f"not in the table: {len(finished) - len(runs)} runs of trials that are not complete"
    named, repeated = drop_repeated(name_cells(runs, mixed=request.mixed))
    runs = report_last(named)
    families = compare_families(runs, f"metric.{find_validator(request.selection).curve}")
    overall = average_families(families)
    document = Document(
        name=request.name,
        grids=[_tabulate_overall(overall), _tabulate(families)],
        sentences=put_into_words(families),
        notes=[
            f"each family's setting is the one of the largest {request.selection}, mean over seeds, at the last step; "
            "the rows of a method on a pair stand in that order: the first is what would be chosen of all",
            f"{MARK} target labels choose the best of a family in hindsight; regret: best less chosen",
            "over all: on how many tasks (pair, recipe) a family was tried beside others, would be chosen, and has the "
            "best setting in hindsight, alone or with others; short: of the task's best setting of all, the family's "
            "chosen one, mean",
            "on the seeds of the search, so optimistic: `python -m sweeps report NAME` trains the winner on fresh ones",
            *describe_mixtures(runs),
            *repeated,
            *([incomplete] if len(runs) < len(finished) else []),
            *(f"not in the table: {count} {reason}" for reason, count in recorded.left_out.items()),
        ],
        origin=describe_origin(runs, request.command),
    )
    material = Material(runs, families, pd.DataFrame(columns=["run_id", "step", "metric", "value"]), lambda _: None)
    return Table(material, {"": families, "_families": overall}, document)


def compare_families(runs: pd.DataFrame, score: str) -> pd.DataFrame:
    """One row a family of schedules of each `PLACE`, of each the one of the largest score first: `COLUMNS`.

    Args:
        runs: one row a finished run, with the columns of `name_cells`.
        score: the column that chooses.

    Raises:
        BadInput: there is no such column.
    """
    if score not in runs:
        raise BadInput(f"{score.removeprefix('metric.')} was not recorded in any sweep over alpha schedules")
    keys = key_settings(runs)
    rows = []
    places = runs.assign(variant=runs["variant"].map(_drop_alpha))
    for (*place, family), of_family in places.groupby([*PLACE, ALPHA]):
        settings = of_family.groupby(keys)
        values = settings[[score, f"metric.{names.TARGET_ACCURACY}"]].mean().dropna()
        if values.empty:
            continue
        chosen = values[score].idxmax()
        members = settings.get_group(chosen)
        accuracies = members[f"metric.{names.TARGET_ACCURACY}"].astype(float)
        best = float(values[f"metric.{names.TARGET_ACCURACY}"].max())
        numbers = (
            float(values[score].max()),
            accuracies.mean(),
            accuracies.std(ddof=1),
            best,
            best - accuracies.mean(),
        )
        title = of_family[f"tag.{names.PAIR_TITLE}"].iloc[-1]
        rows.append((*place, title, family, len(values), _show(members.iloc[0]), len(members), *numbers))
    families = pd.DataFrame(rows, columns=COLUMNS)
    return families.sort_values([*PLACE, "score"], ascending=[True] * len(PLACE) + [False], ignore_index=True)


def average_families(families: pd.DataFrame) -> pd.DataFrame:
    """One row a family over all places where another was tried, too, the one nearest to the best first.

    Args:
        families: as `compare_families` returns them.

    Returns:
        Columns family, tasks (where it was tried), chosen (where its setting stands first), best (where it is of
        `find_best`) and short (of the best, its chosen setting's accuracy, mean).
    """
    families = families[families.duplicated(PLACE, keep=False)]
    summed = families.assign(
        tasks=1,
        chosen=~families.duplicated(PLACE),
        best=find_best(families),
        short=families.groupby(PLACE)["best"].transform("max") - families["accuracy"],
    ).groupby("family")
    overall = summed.agg({"tasks": "sum", "chosen": "sum", "best": "sum", "short": "mean"}).reset_index()
    return overall.sort_values(["short", "family"], ignore_index=True)


def find_best(families: pd.DataFrame) -> "pd.Series[bool]":
    """Which families have the best setting of their place in hindsight: of a tie all."""
    best = families["best"].round(9)  # means of the same numbers in another order are equal
    return best == best.groupby([families[name] for name in PLACE]).transform("max")


def _drop_alpha(variant: str) -> str:
    return " ".join(word for word in variant.split() if not word.startswith("alpha"))


def _show(run: pd.Series) -> str:
    fields = {str(name).partition(f"{ALPHA}.")[2]: value for name, value in run.items()}
    given = {name: value for name, value in fields.items() if name and isinstance(value, str) and value != "None"}
    return " ".join(f"{name}={round_number(value)}" for name, value in given.items())


def put_into_words(families: pd.DataFrame) -> list[str]:
    """What would be chosen of each method on each pair, and what it costs."""
    lines, regrets = [], []
    for _, rows in families.groupby(PLACE, sort=False):
        first, best = rows.iloc[0], rows[find_best(rows)]
        regrets.append(best["best"].max() - first["accuracy"])
        lines.append(
            f"{title_cell(first)}: {first['family']} would be chosen, {fraction(first['accuracy'])}; the "
            f"best setting in hindsight is of {' and '.join(best['family'])}, {fraction(best['best'].max())}: regret "
            f"{fraction(regrets[-1])}"
        )
    if len(lines) > 1:
        mean, worst = fraction(sum(regrets) / len(regrets)), fraction(max(regrets))
        lines.insert(0, f"over {len(lines)} tasks what would be chosen has a mean regret of {mean}, {worst} at worst")
    return lines


def _tabulate_overall(overall: pd.DataFrame) -> Grid:
    rows = [
        [row["family"], *(str(row[name]) for name in ("tasks", "chosen", "best")), fraction(row["short"])]
        for row in overall.to_dict("records")
    ]
    headings = ["family", "tasks", "chosen", f"best {MARK}", "short"]
    return Grid("families over all tasks", headings, rows, 1, ["mean over tasks"] * len(rows))


def _tabulate(families: pd.DataFrame) -> Grid:
    rows = [
        [
            row["family"],
            row["setting"],
            " ± ".join(filter(None, (fraction(row["accuracy"]), fraction(row["sd"])))),
            str(row["seeds"]),
            fraction(row["best"]),
            fraction(row["regret"]),
            str(row["settings"]),
        ]
        for row in families.to_dict("records")
    ]
    headings = ["family", "chosen", "target", "n", f"best {MARK}", "regret", "settings"]
    groups = [title_cell(row) for row in families.to_dict("records")]
    return Grid("families of alpha schedules", headings, rows, 2, groups)
