import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from results.across import average_pairs


def comparisons(**pairs: tuple[int, float, float]) -> pd.DataFrame:
    rows = [(pair, "", "dann", "", "no", *values) for pair, values in pairs.items()]
    return pd.DataFrame(
        rows,
        columns=["pair", "recipe", "method", "variant", "target_labels", "n_paired", "difference", "difference_sd"],
    )


def test_two_pairs_against_welch() -> None:
    # The mean of two pairs tests what Welch's t-test tests of one sample and the other with its sign turned.
    random = np.random.default_rng(0)
    one, other = random.normal(0.1, 0.05, size=5), random.normal(0.2, 0.2, size=8)
    [row] = average_pairs(
        comparisons(a_to_b=(5, one.mean(), one.std(ddof=1)), c_to_d=(8, other.mean(), other.std(ddof=1)))
    ).to_dict("records")
    welch = stats.ttest_ind(one, -other, equal_var=False)
    interval = welch.confidence_interval()
    assert row["pairs"] == 2
    assert row["p_value"] == pytest.approx(welch.pvalue)
    assert row["degrees"] == pytest.approx(welch.df)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((interval.low / 2, interval.high / 2))


def test_wilcoxon_asks_whether_the_pairs_agree() -> None:
    pairs = {f"s{number}_to_t{number}": (3, 0.1 * number, 0.05) for number in range(1, 7)}
    [row] = average_pairs(comparisons(**pairs)).to_dict("records")
    assert row["wilcoxon_p"] == pytest.approx(2 / 2**6)  # all six of one sign
    assert not row["exploratory"]


@pytest.mark.parametrize(("other", "exploratory"), [("a_to_c", True), ("b_to_a", True), ("c_to_d", False)])
def test_pairs_that_share_a_domain_make_it_exploratory(other: str, exploratory: bool) -> None:
    [row] = average_pairs(comparisons(a_to_b=(3, 0.1, 0.1), **{other: (3, 0.2, 0.1)})).to_dict("records")
    assert row["exploratory"] is exploratory


def test_one_pair_is_no_mean() -> None:
    assert average_pairs(comparisons(a_to_b=(3, 0.1, 0.1))).empty


def test_a_pair_with_one_seed_leaves_the_mean_without_an_interval() -> None:
    [row] = average_pairs(comparisons(a_to_b=(1, 0.1, math.nan), c_to_d=(3, 0.3, 0.1))).to_dict("records")
    assert row["difference"] == pytest.approx(0.2)
    assert math.isnan(row["p_value"])
    assert math.isnan(row["difference_low"])
