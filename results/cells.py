"""From one row a run to one row a cell of the table: runs that differ in their seed alone."""

import numpy as np
import pandas as pd

from experiments import record

# The two anchors between which a method is measured.
LOWER, UPPER = "source_only", "target_only"

CELL = ["pair", "recipe", "method", "variant"]
TARGET = f"metric.{record.SELECTED_TARGET_ACCURACY}"
NUMBERS = {
    "target_accuracy": TARGET,
    "source_accuracy": f"metric.{record.SELECTED_SOURCE_ACCURACY}",
    "domain_loss": f"metric.{record.DOMAIN_LOSS}",
    "proxy_a_distance": f"metric.{record.PROXY_A_DISTANCE}",
}
_ADVERSARY = ("alpha", "domain_weight")


def name_cells(runs: pd.DataFrame) -> pd.DataFrame:
    """Say which runs differ in their seed alone and so belong into one cell.

    Args:
        runs: one row a run, as `read_runs` returns them.

    Returns:
        The same rows with text columns `pair`, `recipe`, `method`, `variant` and an integer column `seed`. `recipe`
        names the parameters outside the adversary that differ between the runs of a pair, `variant` those of the
        adversary that differ between the runs of a method; both are empty where nothing differs.
    """
    named = runs.assign(pair=runs["param.pair"], method=runs["param.method"], seed=runs["param.seed"].astype(int))
    names = [str(column).removeprefix("param.") for column in runs if str(column).startswith("param.")]
    adversary = [name for name in names if name.split(".")[0] in _ADVERSARY]
    named["recipe"] = _differences(named, ["pair"], sorted({*names} - {*adversary, "pair", "method", "seed"}))
    named["variant"] = _differences(named, ["pair", "recipe", "method"], adversary)
    return named


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a cell; the anchors enclose the methods.

    Args:
        runs: rows with the columns of `name_cells`.

    Returns:
        Columns pair, recipe, method, variant, pair_title, n, seeds; `<number>` and `<number>_sd` (sample standard
        deviation, n - 1, NaN for n = 1) for each of `NUMBERS`; gap_covered, selection and target_labels ("no", or
        what they were used for).
    """
    rows = []
    for key, cell in runs.groupby(CELL):
        row = dict(zip(CELL, key, strict=True))
        row |= {"pair_title": cell[f"tag.{record.PAIR_TITLE}"].iloc[-1], "n": len(cell)}
        row["seeds"] = " ".join(str(seed) for seed in sorted(cell["seed"]))
        for name, column in NUMBERS.items():
            values = cell[column].astype(float) if column in cell else pd.Series(dtype=float)
            row |= {name: values.mean(), f"{name}_sd": values.std(ddof=1)}
        row["selection"] = cell["param.selection"].iloc[0]
        uses = ["training"] * (row["method"] == UPPER) + ["selection"] * (row["selection"] == "target_oracle")
        row["target_labels"] = " and ".join(uses) or "no"
        rows.append(row)
    cells = pd.DataFrame(rows)
    cells.insert(list(cells).index("domain_loss"), "gap_covered", gap_covered(cells))
    place = cells["method"].map({LOWER: 0, UPPER: 2}).fillna(1)
    return (
        cells.assign(place=place)
        .sort_values(["pair", "recipe", "place"], kind="stable", ignore_index=True)
        .drop(columns="place")
    )


def gap_covered(cells: pd.DataFrame) -> pd.Series:
    """(method - source_only) / (target_only - source_only) of mean target accuracies; may be negative.

    Empty for the anchors themselves, and where an anchor is missing or the anchors are equal.
    """
    covered = pd.Series(np.nan, index=cells.index)
    for _, group in cells.groupby(["pair", "recipe"]):
        means = group.set_index("method")["target_accuracy"]
        if list(group["method"]).count(LOWER) == list(group["method"]).count(UPPER) == 1:
            whole = float(means[UPPER]) - float(means[LOWER])
            between = ~group["method"].isin([LOWER, UPPER])
            if whole:
                covered[group.index[between]] = (means - means[LOWER]).to_numpy()[between] / whole
    return covered


def _differences(runs: pd.DataFrame, within: list[str], parameters: list[str]) -> pd.Series:
    # "network=mnist_paper steps=500": the parameters with more than one value among the runs of a group.
    words = pd.Series("", index=runs.index)
    for _, group in runs.groupby(within):
        values = pd.DataFrame({name: group[f"param.{name}"].fillna("") for name in parameters}, index=group.index)
        varying = [name for name in parameters if values[name].nunique() > 1]
        for run_id, row in zip(values.index, values[varying].to_dict("records"), strict=True):
            words[run_id] = " ".join(f"{name}={value}" for name, value in row.items() if value)
    return words
