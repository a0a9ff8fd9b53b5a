"""One method over several pairs: the mean of its differences, and whether they agree."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from results.paired import estimate_paired

KEY = ["recipe", "method", "variant"]
FEWEST_PAIRS = 6  # of which Wilcoxon's p can be below .05
COLUMNS = [
    *KEY,
    "pairs",
    "n_paired",
    "lost",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
    "wilcoxon_p",
    "exploratory",
]


def average_pairs(differences: pd.DataFrame) -> pd.DataFrame:
    """The mean over pairs of each method's difference to source_only.

    Pairs of the same seed may share a network, so they are no independent sample: the mean over all pairs is taken
    within each seed that all have, and the seeds are tested as those of one pair are. Wilcoxon's signed-rank test asks
    instead whether the pairs, not the seeds, agree; its p is exploratory where pairs share a domain.

    Args:
        differences: one row a run with columns pair, recipe, method, variant, seed and difference, NaN where the run is
            lost.

    Returns:
        One row for each method of at least two pairs that share a seed: recipe, method, variant, pairs (their number),
        n_paired (seeds that all of them have), lost (seeds that some lost, as text), difference (mean), difference_low,
        difference_high, p_value, wilcoxon_p (NaN for fewer than `FEWEST_PAIRS`) and exploratory (pairs share a domain).
    """
    rows = []
    for key, group in differences.groupby(KEY):
        is_lost = group["difference"].isna()
        by_seed = group[~is_lost].pivot(index="seed", columns="pair", values="difference")
        shared = by_seed.dropna().to_numpy()  # (n, k)
        if not len(shared) or len(by_seed.columns) < 2:
            continue
        means = shared.mean(axis=0)
        may_agree = len(means) >= FEWEST_PAIRS and means.any()
        rank_p = float(stats.wilcoxon(means).pvalue) if may_agree else math.nan  # pyright: ignore[reportAttributeAccessIssue]
        domains = [domain for pair in by_seed for domain in set(str(pair).split("_to_"))]
        lost = " ".join(map(str, sorted(set(group["seed"][is_lost]))))
        estimate = estimate_paired(shared.mean(axis=1), np.zeros(len(shared)))
        numbers = (len(means), len(shared), lost, *estimate, rank_p)
        rows.append((*key, *numbers, len(domains) > len(set(domains))))
    return pd.DataFrame(rows, columns=COLUMNS)
