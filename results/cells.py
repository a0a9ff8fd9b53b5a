"""From one row a run to one row a cell of the table: runs that differ in their seed alone."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from experiments.record import names
from experiments.validators import TARGET_ORACLE
from results.provenance import PROVENANCE
from results.reading import FINISHED
from results.selecting import NUMBERS

# The two anchors between which a method is measured.
LOWER, UPPER = "source_only", "target_only"

CELL = ["pair", "recipe", "method", "variant"]
TARGET = names.TARGET_ACCURACY
_METHOD = "method."
_AFTER = "after"  # the field of a method that is another method
FIELD = f"param.{_METHOD}"  # begins the column of a method's field
NAMED = {("cdan", "entropy"): "cdan_e"}  # with this field a method has a name of its own, as in the papers


def name_cells(runs: pd.DataFrame, *, mixed: bool = False) -> pd.DataFrame:
    """Say which runs differ in their seed alone and so belong into one cell.

    Args:
        runs: one row a run, as `read_runs` returns them.
        mixed: let runs of different data, commit, torch version or device share a cell.

    Returns:
        The same rows with text columns `pair`, `recipe`, `method`, `variant` and an integer column `seed`. `method`
        is the parameter or of `NAMED`, `variant` names the fields of the method that differ between the runs of a
        method, `recipe` the other parameters that differ between the runs of a method on a pair, and what else must be
        the same of all; both are empty where nothing differs. A parameter that differs between the methods of a pair
        alone is each method's own.
    """
    named = runs.assign(pair=runs["param.pair"], method=runs["param.method"], seed=runs["param.seed"].astype(int))
    for (method, field), own in NAMED.items():
        if (column := f"{FIELD}{field}") in runs:
            named.loc[(named["method"] == method) & (named[column] == "True"), "method"] = own
    parameters = {
        str(column).removeprefix("param."): str(column) for column in runs if str(column).startswith("param.")
    }
    fields = {name.removeprefix(_METHOD): column for name, column in parameters.items() if name.startswith(_METHOD)}
    others = {name: column for name, column in parameters.items() if is_shared(name)}
    same = {} if mixed else {name: name for name in PROVENANCE if name in runs}
    recipe = _differences(named, ["pair"], others, but_own=True) + " " + _differences(named, ["pair"], same)
    named["recipe"] = recipe.str.strip()
    theirs = {name: fields.pop(name) for name in list(fields) if name.startswith(f"{_AFTER}.")}
    variant = _differences(named, ["pair", "recipe", "method"], fields)
    if theirs:  # fields of the method that came before are compared within that method, like a method's own
        variant += " " + _differences(named, ["pair", "recipe", "method", fields[_AFTER]], theirs)
    named["variant"] = variant.str.strip()
    return named


def is_shared(parameter: str) -> bool:
    """Whether it is one of a recipe: all but pair, seed, the method and its fields."""
    return not parameter.startswith(_METHOD) and parameter not in ("pair", "method", "seed")


def agree(run: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    """Whether the methods of two runs have the same value in every field that both have."""
    fields = [name for name in run if str(name).startswith(FIELD)]
    return all(run[name] == other[name] for name in fields if pd.notna(run[name]) and pd.notna(other[name]))


def _differences(
    runs: pd.DataFrame, within: list[str], columns: dict[str, str], *, but_own: bool = False
) -> "pd.Series[str]":
    # "network=mnist_paper steps=500": what has more than one value among the runs of a group; None says nothing.
    words = pd.Series("", index=runs.index)
    for _, group in runs.groupby(within):
        for name, column in columns.items():
            values = group[column].fillna("").replace("None", "")
            own = but_own and values.groupby(group["method"]).nunique().max() == 1
            if values.nunique() > 1 and not own:
                values = _shorten(values)
                words[group.index] += (" " + name + "=" + values).where(values != "", "")
    return words.str.lstrip()


def _shorten(values: pd.Series) -> pd.Series:
    # Four digits of a number, where they still tell the values apart.
    short = values.map({value: _round(value) for value in values.unique()})
    return short if short.nunique() == values.nunique() else values


def _round(value: str) -> str:
    # Never what only looks like a number, as a commit does.
    return f"{float(value):.4g}" if re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", value) and len(value) > 6 else value


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a cell; the anchors enclose the methods.

    Args:
        runs: rows with the columns of `name_cells` and, for those that are finished, of `selecting`.

    Returns:
        Columns pair, recipe, method, variant, pair_title, n (values averaged), planned (seeds begun), seeds, lost
        (seeds that failed or were killed); `<number>` and `<number>_sd` (sample standard deviation, n - 1, NaN for
        n = 1) for each of `NUMBERS`; selection and target_labels ("no", or what they were used for).
    """
    rows = []
    title = f"tag.{names.PAIR_TITLE}"
    shown = list(dict.fromkeys([*CELL, "seed", "status", "selection", title, TARGET, *NUMBERS, *PROVENANCE]))
    for key, cell in runs[shown].groupby(CELL):  # a copy of every other column is what would take time
        row = dict(zip(CELL, key, strict=True))
        valued = cell[cell[TARGET].notna() & (cell["status"] == FINISHED)]
        lost = sorted(set(cell["seed"]) - set(valued["seed"]))
        row |= {"pair_title": cell[title].iloc[-1], "n": len(valued)}
        row |= {"planned": len(valued) + len(lost), "seeds": _list(sorted(valued["seed"])), "lost": _list(lost)}
        for name in NUMBERS:
            values = valued[name].astype(float)
            row |= {name: values.mean(skipna=False), f"{name}_sd": values.std(ddof=1, skipna=False)}  # of all n or none
        row |= {name: _list(sorted(valued[name].unique())) for name in PROVENANCE}
        row["selection"] = runs["selection"].dropna().iloc[0]
        row["target_labels"] = name_uses(str(row["method"]), str(row["selection"]))
        rows.append(row)
    cells = pd.DataFrame(rows)
    places = [_place(*key) for key in cells[CELL].itertuples(index=False, name=None)]
    return cells.iloc[sorted(range(len(cells)), key=places.__getitem__)].reset_index(drop=True)


def name_uses(method: str, selection: str) -> str:
    """What target labels were used for: "no", training, selection, or both."""
    return " and ".join(["training"] * (method == UPPER) + ["selection"] * (selection == TARGET_ORACLE)) or "no"


def drop_repeated(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """One run for each seed of a cell, the newest finished one; and a line for each that is left out.

    Args:
        runs: rows with the columns of `name_cells`; those of equal parameters share a cell only where that was asked.
    """
    key = [*CELL, "seed"]
    repeated = runs.duplicated(key, keep="last")
    dropped = runs[repeated & (runs["status"] == FINISHED)].merge(runs[~repeated], on=key, suffixes=("", "_kept"))
    lines = []
    for run in dropped.to_dict("records"):
        differing = [name for name in PROVENANCE if run[name] != run[f"{name}_kept"]]
        differs = ", ".join(f"{name} {run[name]} and not {run[f'{name}_kept']}" for name in differing)
        lines.append(f"repeated, not in the table: {run['method']} on {run['pair']}, seed {run['seed']}, of {differs}")
    return runs[~repeated], lines


def _place(pair: str, recipe: str, method: str, variant: str) -> tuple[object, ...]:
    # Numbers inside words by their size: alpha.value=5.0 before alpha.value=10.0.
    words = re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", variant)
    by_size = tuple(float(word) if place % 2 else word for place, word in enumerate(words))
    return pair, recipe, {LOWER: 0, UPPER: 2}.get(method, 1), method, by_size


def _list(values: list[object]) -> str:
    return " ".join(map(str, values))
