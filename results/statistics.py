"""Is a method above source_only? Paired tests over the seeds."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from results.cells import CELL, LOWER, TARGET, UPPER


def compare(runs: pd.DataFrame) -> pd.DataFrame:
    """Each method against source_only of the same pair and recipe, target accuracies paired by seed.

    Args:
        runs: rows with the columns of `name_cells`.

    Returns:
        Columns pair, recipe, method, variant, n_paired, difference (mean), difference_low, difference_high (95 %
        bootstrap interval) and p_value (two-sided paired t-test); one row a cell that shares a seed with source_only.
    """
    rows = []
    for _, group in runs.groupby(["pair", "recipe"]):
        lower = group[group["method"] == LOWER].set_index("seed")[TARGET]
        for key, cell in group[~group["method"].isin([LOWER, UPPER])].groupby(CELL):
            differences = (cell.set_index("seed")[TARGET] - lower).dropna().to_numpy(float)
            if len(differences):
                interval = bootstrap_interval(differences)
                rows.append((*key, len(differences), differences.mean(), *interval, paired_p_value(differences)))
    return pd.DataFrame(rows, columns=[*CELL, "n_paired", "difference", "difference_low", "difference_high", "p_value"])


def paired_p_value(differences: np.ndarray) -> float:
    """Two-sided p-value of the paired t-test that the mean difference is 0.

    Args:
        differences: (n,) one difference a seed.

    Returns:
        t = mean · sqrt(n) / sd against Student's t with n - 1 degrees of freedom; NaN for n = 1 or without any spread.
    """
    n = len(differences)
    if n < 2 or np.ptp(differences) < 1e-12:
        return math.nan
    t = differences.mean() * math.sqrt(n) / differences.std(ddof=1)
    return float(2 * stats.t.sf(abs(t), n - 1))


def bootstrap_interval(differences: np.ndarray, resamples: int = 10_000) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean; the same numbers for the same input, NaN for n = 1.

    With few seeds it is too narrow (it never leaves the range of the data): read it beside the p-value.

    Args:
        differences: (n,) one difference a seed.
        resamples: how many samples of n seeds are drawn with replacement.
    """
    n = len(differences)
    if n < 2:
        return math.nan, math.nan
    chosen = np.random.default_rng(0).integers(n, size=(resamples, n))
    low, high = np.quantile(differences[chosen].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)
