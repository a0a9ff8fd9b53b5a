"""Pure functions from one row a run to one row a cell: means, spreads, gaps and paired tests."""

import numpy as np
import pandas as pd
from scipy import stats

from experiments import record

# The two anchors between which a method is measured.
LOWER, UPPER = "source_only", "target_only"

CELL = ["pair", "recipe", "method", "variant"]
_ADVERSARY = ("alpha", "domain_weight")
_TARGET, _SOURCE = f"metric.{record.SELECTED_TARGET_ACCURACY}", f"metric.{record.SELECTED_SOURCE_ACCURACY}"


def name_cells(runs: pd.DataFrame) -> pd.DataFrame:
    """Say which runs differ in their seed alone and so belong into one cell of the table.

    Args:
        runs: one row a run, as `read_runs` returns them.

    Returns:
        The same rows with text columns `pair`, `recipe`, `method`, `variant` and an integer column `seed`. `recipe` names the
        parameters outside the adversary that differ between the runs of a pair, `variant` those of the adversary that differ
        between the runs of a method; both are empty where nothing differs.
    """
    named = runs.assign(pair=runs["param.pair"], method=runs["param.method"], seed=runs["param.seed"].astype(int))
    parameters = [
        column for column in runs if column.startswith("param.") and column[6:] not in ("pair", "method", "seed")
    ]
    adversary = [column for column in parameters if column[6:].split(".")[0] in _ADVERSARY]
    shared = [column for column in parameters if column not in adversary]
    named["recipe"] = _differences(named, ["pair"], shared)
    named["variant"] = _differences(named, ["pair", "recipe", "method"], adversary)
    return named


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a cell.

    Args:
        runs: rows with the columns of `name_cells`.

    Returns:
        Columns pair, recipe, method, variant, pair_title, n, seeds; `<number>` and `<number>_sd` (sample standard deviation,
        n - 1, NaN for n = 1) for target_accuracy, source_accuracy, domain_loss and proxy_a_distance; gap_covered, selection and
        target_labels ("no", or what they were used for). Anchors enclose the methods.
    """
    numbers = {
        "target_accuracy": _TARGET,
        "source_accuracy": _SOURCE,
        "domain_loss": f"metric.{record.DOMAIN_LOSS}",
        "proxy_a_distance": f"metric.{record.PROXY_A_DISTANCE}",
    }
    rows = []
    for key, cell in runs.groupby(CELL, sort=False):
        row: dict[str, object] = dict(zip(CELL, key, strict=True))
        row["pair_title"] = cell[f"tag.{record.PAIR_TITLE}"].iloc[-1]
        row["n"], row["seeds"] = len(cell), " ".join(str(seed) for seed in sorted(cell["seed"]))
        for name, column in numbers.items():
            values = cell[column].astype(float) if column in cell else pd.Series([np.nan] * len(cell))
            row[name], row[f"{name}_sd"] = values.mean(), values.std(ddof=1)
        row["selection"] = cell["param.selection"].iloc[0]
        row["target_labels"] = _target_labels(str(row["method"]), str(row["selection"]))
        rows.append(row)
    cells = pd.DataFrame(rows)
    cells.insert(cells.columns.get_loc("domain_loss"), "gap_covered", gap_covered(cells))  # type: ignore[arg-type]
    place = cells["method"].map({LOWER: 0, UPPER: 2}).fillna(1)
    order = cells.assign(place=place).sort_values(["pair", "recipe", "place", "method", "variant"], kind="stable").index
    return cells.loc[order].reset_index(drop=True)


def gap_covered(cells: pd.DataFrame) -> pd.Series:
    """(method - source_only) / (target_only - source_only) of mean target accuracies; may be negative.

    Empty for the anchors themselves, and where an anchor is missing or the anchors are equal.
    """
    result = pd.Series(np.nan, index=cells.index)
    for _, group in cells.groupby(["pair", "recipe"], sort=False):
        lower = group.loc[group["method"] == LOWER, "target_accuracy"]
        upper = group.loc[group["method"] == UPPER, "target_accuracy"]
        if len(lower) == len(upper) == 1 and upper.item() != lower.item():
            between = group[~group["method"].isin((LOWER, UPPER))]
            gap = (between["target_accuracy"] - lower.item()) / (upper.item() - lower.item())
            result[between.index] = gap
    return result


def compare(runs: pd.DataFrame) -> pd.DataFrame:
    """Each method against source_only of the same pair and recipe, target accuracies paired by seed.

    Args:
        runs: rows with the columns of `name_cells`.

    Returns:
        Columns pair, recipe, method, variant, n_paired, difference (mean), difference_low, difference_high (95 % bootstrap
        interval) and p_value (two-sided paired t-test); one row a cell that shares a seed with source_only.
    """
    rows = []
    for (_pair, _recipe), group in runs.groupby(["pair", "recipe"], sort=False):
        lower = group[group["method"] == LOWER].set_index("seed")[_TARGET]
        for key, cell in group[~group["method"].isin((LOWER, UPPER))].groupby(CELL, sort=False):
            differences = (cell.set_index("seed")[_TARGET] - lower).dropna().to_numpy(float)
            if len(differences):
                low, high = bootstrap_interval(differences)
                row = dict(zip(CELL, key, strict=True)) | {
                    "n_paired": len(differences),
                    "difference": differences.mean(),
                }
                rows.append(
                    row | {"difference_low": low, "difference_high": high, "p_value": paired_p_value(differences)}
                )
    return pd.DataFrame(rows, columns=[*CELL, "n_paired", "difference", "difference_low", "difference_high", "p_value"])


def paired_p_value(differences: np.ndarray) -> float:
    """Two-sided p-value of the paired t-test that the mean difference is 0.

    Args:
        differences: (n,) one difference a seed.

    Returns:
        t = mean · sqrt(n) / sd against Student's t with n - 1 degrees of freedom; NaN for n = 1 or without any spread.
    """
    if len(differences) < 2 or np.ptp(differences) < 1e-12:
        return float("nan")
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def bootstrap_interval(differences: np.ndarray, resamples: int = 10_000) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean; the same numbers for the same input, NaN for n = 1.

    With few seeds it is too narrow (it never leaves the range of the data): read it beside the p-value.

    Args:
        differences: (n,) one difference a seed.
    """
    if len(differences) < 2:
        return float("nan"), float("nan")
    chosen = np.random.default_rng(0).integers(len(differences), size=(resamples, len(differences)))
    low, high = np.quantile(differences[chosen].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def _differences(runs: pd.DataFrame, within: list[str], parameters: list[str]) -> pd.Series:
    # "network=mnist_paper steps=500": the parameters with more than one value among the runs of a group.
    words = pd.Series("", index=runs.index)
    for _, group in runs.groupby(within, sort=False):
        values = group[parameters].fillna("")
        varying = [column for column in parameters if values[column].nunique() > 1]
        words[group.index] = [
            " ".join(f"{column[6:]}={value}" for column, value in row.items() if value)
            for _, row in values[varying].iterrows()
        ]
    return words


def _target_labels(method: str, selection: str) -> str:
    uses = ["training"] * (method == UPPER) + ["selection"] * (selection == "target_oracle")
    return ", ".join(uses) or "no"
