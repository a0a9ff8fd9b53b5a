"""Is a method above source_only, by how much, and how sure is that? Paired tests over the seeds."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from results.across import average_pairs
from results.cells import CELL, FIELD, LOWER, TARGET, UPPER, agree, name_uses
from results.gap import cover_gap
from results.paired import LEVEL, NO_SPREAD, estimate_paired
from results.reading import FINISHED

POWER = 0.8
FEWEST_SEEDS, CLAIM_SEEDS = 5, 10

COMPARED = [
    "n_paired", "difference", "difference_sd", "difference_low", "difference_high", "p_value", "p_holm", "n_required",
    "differences", "n_gap", "gap_covered", "gap_low", "gap_high",
]  # fmt: skip


def compare(runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each method against the source_only that `match_anchors` finds for it, and the mean over pairs of each method.

    Args:
        runs: rows with the columns of `name_cells` and, for those that are finished, of `selecting`.

    Returns:
        One row a cell that shares a seed with its one source_only: the columns of `CELL`; n_paired; difference (mean of
        target accuracies, method - source_only, paired by seed), its sample standard deviation, 95 % interval and
        p_value (paired t-test); p_holm (adjusted for every comparison of both frames); n_required (seeds that show such
        a difference with power 0.8 at the first level of Holm's, at least `CLAIM_SEEDS`); differences (of the seeds, in
        their order, as text); n_gap (seeds that target_only has, too) and gap_covered of them, with its interval.
        And of `average_pairs`, with p_holm and target_labels as in `summarise`.
    """
    rows, of_seeds = [], []
    for cell, anchors in match_anchors(runs):
        if len(anchors[LOWER]) != 1:
            continue
        method, lower = _by_seed(cell), _by_seed(anchors[LOWER][0])
        upper = _by_seed(anchors[UPPER][0]) if len(anchors[UPPER]) == 1 else None
        seeds = method.index.intersection(lower.index).sort_values()
        if len(seeds):
            key = cell.iloc[0][CELL]
            rows.append((*key, *_compare_one(method[seeds], lower[seeds]), *_cover(method, lower, upper)))
            of_seeds += [(*key, *of_seed) for of_seed in (method - lower)[seeds].items()]
    names = [name for name in COMPARED if name not in ("p_holm", "n_required")]
    comparisons = pd.DataFrame(rows, columns=[*CELL, *names])
    lost = runs.loc[~_is_valued(runs), [*CELL, "seed"]].assign(difference=math.nan)
    pairs = average_pairs(pd.concat([pd.DataFrame(of_seeds, columns=lost.columns), lost]))
    pairs["target_labels"] = [name_uses(method, runs["selection"].dropna().iloc[0]) for method in pairs["method"]]
    adjusted = holm([*comparisons["p_value"], *pairs["p_value"]])
    comparisons["p_holm"], pairs["p_holm"] = adjusted[: len(comparisons)], adjusted[len(comparisons) :]
    tests = int(np.isfinite(adjusted).sum())
    comparisons["n_required"] = [
        count_required(mean, sd, tests)
        for mean, sd in zip(comparisons["difference"], comparisons["difference_sd"], strict=True)
    ]
    return comparisons[[*CELL, *COMPARED]], pairs


def match_anchors(runs: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, dict[str, list[pd.DataFrame]]]]:
    """Every method's cell with the anchors that it may be compared with.

    Args:
        runs: as in `compare`.

    Yields:
        The finished runs of the cell; and for source_only and target_only those of each of their cells of the same pair
        and recipe whose fields agree with the method's. One alone is an anchor: beside another, or where a
        field such as label smoothing differs, a difference would be that field's, too.
    """
    finished = runs[_is_valued(runs)]
    is_field = finished.columns.str.startswith(FIELD)
    firsts = finished.drop_duplicates(CELL)
    keys = firsts[CELL].itertuples(index=False, name=None)
    fields = dict(zip(keys, firsts.loc[:, is_field].to_dict("records"), strict=True))
    others = ~finished.columns.str.startswith("param.")  # a copy of every parameter is what would take time
    for place, group in finished.loc[:, others].groupby(["pair", "recipe"]):
        cells = {(*place, *own): cell for own, cell in group.groupby(["method", "variant"])}
        anchors = [key for key in cells if key[2] in (LOWER, UPPER)]
        for key, cell in cells.items():
            if key not in anchors:
                agreed = [anchor for anchor in anchors if agree(fields[key], fields[anchor])]
                yield cell, {name: [cells[each] for each in agreed if each[2] == name] for name in (LOWER, UPPER)}


def _is_valued(runs: pd.DataFrame) -> "pd.Series[bool]":
    return (runs["status"] == FINISHED) & runs[TARGET].notna()


def _by_seed(cell: pd.DataFrame) -> pd.Series:
    return pd.Series(cell[TARGET].to_numpy(float), index=pd.Index(cell["seed"]))


def _compare_one(method: pd.Series, lower: pd.Series) -> tuple[object, ...]:
    differences = method - lower
    estimate = estimate_paired(method.to_numpy(), lower.to_numpy())
    shown = " ".join(f"{difference:.6g}" for difference in differences)
    return len(differences), estimate.mean, differences.std(ddof=1), *estimate[1:], shown


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjustment (1979): claims with an adjusted p below .05 hold together with 95 %.

    The i-th smallest of m p-values is multiplied by m - i + 1, and none is smaller than one before it. NaN, no test,
    counts for nothing.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, float)
    adjusted = np.full(len(values), math.nan)
    order = np.argsort(values)[: int(np.isfinite(values).sum())]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def count_required(mean: float, sd: float, tests: int) -> float:
    """Seeds that a paired t-test needs to show this difference with power .8 where it is the first of `tests`.

    n = ((z₁ + z₂) · sd / mean)² + z₁² / 2 with z₁ of 1 - level / 2 and z₂ of the power (Guenther 1981); at least
    `CLAIM_SEEDS`, NaN without a spread or a difference.
    """
    if not (math.isfinite(sd) and sd > NO_SPREAD and abs(mean) > NO_SPREAD):
        return math.nan
    level = stats.norm.isf(LEVEL / max(tests, 1) / 2)
    needed = ((level + stats.norm.ppf(POWER)) * sd / mean) ** 2 + level**2 / 2
    return float(max(math.ceil(needed), CLAIM_SEEDS))


def _cover(method: pd.Series, lower: pd.Series, upper: pd.Series | None) -> tuple[float, ...]:
    if upper is None:
        return 0, math.nan, math.nan, math.nan
    seeds = method.index.intersection(lower.index).intersection(upper.index)
    return len(seeds), *cover_gap((method - lower)[seeds].to_numpy(), (upper - lower)[seeds].to_numpy())
