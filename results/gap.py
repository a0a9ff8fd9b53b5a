"""How much of the way from source_only to target_only a method goes."""

import math

import numpy as np
from scipy import stats

SMALLEST_GAP = 0.02  # between the anchors; below it a ratio to it says nothing


def cover_gap(gains: np.ndarray, gaps: np.ndarray, level: float = 0.05) -> tuple[float, float, float]:
    """gap_covered = mean(method - source_only) / mean(target_only - source_only), and its 95 % interval.

    Fieller's interval (1954): the ratios r for which a paired t-test does not reject mean(gains - r · gaps) = 0.

    Args:
        gains: (n,) method - source_only of the seeds that all three have.
        gaps: (n,) target_only - source_only of the same seeds.
        level: 1 - coverage of the interval.

    Returns:
        Ratio, low, high; all NaN where the anchors are less than `SMALLEST_GAP` apart, the interval NaN for n = 1 and
        where it has no end.
    """
    n = len(gains)
    if n == 0 or abs(gaps.mean()) < SMALLEST_GAP:
        return math.nan, math.nan, math.nan
    ratio = float(gains.mean() / gaps.mean())
    if n == 1:
        return ratio, math.nan, math.nan
    noise = stats.t.isf(level / 2, n - 1) ** 2 * np.cov(gains, gaps) / n  # (2, 2)
    a, b, c = gaps.mean() ** 2 - noise[1, 1], gains.mean() * gaps.mean() - noise[0, 1], gains.mean() ** 2 - noise[0, 0]
    if a <= 0:
        return ratio, math.nan, math.nan
    half = math.sqrt(max(b**2 - a * c, 0))
    return ratio, float((b - half) / a), float((b + half) / a)
