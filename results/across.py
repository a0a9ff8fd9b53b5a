"""One method over several pairs: the mean of its differences, and whether they agree."""

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

KEY = ["recipe", "method", "variant", "target_labels"]
COLUMNS = [
    *KEY,
    "pairs",
    "difference",
    "difference_low",
    "difference_high",
    "degrees",
    "p_value",
    "wilcoxon_p",
    "exploratory",
]


def average_pairs(comparisons: pd.DataFrame, level: float = 0.05) -> pd.DataFrame:
    """The mean over pairs of each method's difference to source_only.

    With v_i = sd_i² / n_i of pair i of k, the mean has the variance Σ v_i / k² and Satterthwaite's (1946) degrees of
    freedom (Σ v_i)² / Σ (v_i² / (n_i - 1)). Wilcoxon's signed-rank test asks instead whether the pairs, not the seeds,
    agree; pairs that share a domain are no independent sample, so its p is exploratory there.

    Args:
        comparisons: one row a cell with columns pair, recipe, method, variant, target_labels, n_paired, difference and
            difference_sd.
        level: 1 - coverage of the interval.

    Returns:
        One row for each method of at least two pairs: recipe, method, variant, target_labels, pairs (their number),
        difference (mean), difference_low, difference_high, degrees, p_value, wilcoxon_p and exploratory (pairs share a
        domain).
    """
    rows = []
    for key, cells in comparisons.groupby(KEY):
        if len(cells) < 2:
            continue
        n, mean = cells["n_paired"].to_numpy(float), float(cells["difference"].mean())
        variances = cells["difference_sd"].to_numpy(float) ** 2 / n
        estimate = (math.nan,) * 4
        if (n > 1).all() and variances.sum() > 0:
            degrees = variances.sum() ** 2 / (variances**2 / (n - 1)).sum()
            error = math.sqrt(variances.sum()) / len(cells)
            half = stats.t.isf(level / 2, degrees) * error
            estimate = (mean - half, mean + half, degrees, 2 * stats.t.sf(abs(mean) / error, degrees))
        ranks: Any = stats.wilcoxon(cells["difference"]) if np.any(cells["difference"] != 0) else None
        rank_p = float(ranks.pvalue) if ranks else math.nan
        domains = [domain for pair in cells["pair"] for domain in set(str(pair).split("_to_"))]
        rows.append((*key, len(cells), mean, *estimate, rank_p, len(domains) > len(set(domains))))
    return pd.DataFrame(rows, columns=COLUMNS)
