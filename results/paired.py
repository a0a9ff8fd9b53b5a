"""A mean difference, how sure it is, and whether it is 0: one paired t-test."""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.05  # of the intervals and of all claims of a table together
NO_SPREAD = 1e-12


class Estimate(NamedTuple):
    """A mean difference, its 95 % interval and the p-value that it is 0; NaN where there is no spread to judge by."""

    mean: float
    low: float = math.nan
    high: float = math.nan
    p_value: float = math.nan


def estimate_paired(values: np.ndarray, others: np.ndarray) -> Estimate:
    """Mean of values - others, both (n,), with interval and two-sided p-value of one paired t-test.

    t = mean · sqrt(n) / sd against Student's t with n - 1 degrees of freedom: 95 % coverage for normal differences at
    any n. A percentile bootstrap covers 75, 84 and 92 % at n = 3, 5 and 10.
    """
    differences = values - others
    if len(differences) < 2 or np.ptp(differences) < NO_SPREAD:
        return Estimate(float(differences.mean()))
    test = stats.ttest_rel(values, others)
    low, high = test.confidence_interval(1 - LEVEL)
    return Estimate(float(differences.mean()), float(low), float(high), float(test.pvalue))
