import math

import numpy as np
import pandas as pd
import pytest

from results.across import average_pairs
from results.paired import estimate_paired


def differences(**pairs: tuple[float, ...]) -> pd.DataFrame:
    rows = [(pair, "", "dann", "", seed, value) for pair, values in pairs.items() for seed, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["pair", "recipe", "method", "variant", "seed", "difference"])


def many(count: int) -> dict[str, tuple[float, ...]]:
    return {f"s{number}_to_t{number}": (0.1 * number, 0.1 * number + 0.05) for number in range(1, count + 1)}


def test_two_pairs_are_tested_by_their_means_of_each_seed() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(0.1, 0.05, size=5), random.normal(0.2, 0.2, size=5)
    [row] = average_pairs(differences(a_to_b=tuple(one), c_to_d=tuple(other))).to_dict("records")
    by_hand = estimate_paired((one + other) / 2, np.zeros(5))
    assert (row["pairs"], row["n_paired"], row["lost"]) == (2, 5, "")
    shown = [row[name] for name in ("difference", "difference_low", "difference_high", "p_value")]
    assert shown == pytest.approx(by_hand)


def test_what_pairs_share_is_no_evidence_twice() -> None:
    """Pairs of one source share its network, and so the noise of each seed: a second pair adds nothing."""
    values = (0.1, 0.2, 0.0, 0.3, 0.1)
    [row] = average_pairs(differences(a_to_b=values, a_to_c=values)).to_dict("records")
    assert row["p_value"] == pytest.approx(estimate_paired(np.array(values), np.zeros(5)).p_value)


def test_seeds_that_some_pair_has_not_are_left_out_and_those_that_it_lost_are_named() -> None:
    given = differences(a_to_b=(0.1, 0.2, 0.3, 0.9), c_to_d=(0.3, 0.4, math.nan))
    [row] = average_pairs(given).to_dict("records")
    assert (row["n_paired"], row["lost"]) == (2, "2")
    assert row["difference"] == pytest.approx(0.25)
    assert average_pairs(differences(a_to_b=(0.1, 0.2), c_to_d=(math.nan, math.nan))).empty


def test_wilcoxon_asks_whether_the_pairs_agree() -> None:
    [row] = average_pairs(differences(**many(6))).to_dict("records")
    assert row["wilcoxon_p"] == pytest.approx(2 / 2**6)  # all six of one sign
    assert not row["exploratory"]


def test_of_fewer_pairs_than_could_show_it_nothing_is_asked() -> None:
    [row] = average_pairs(differences(**many(5))).to_dict("records")
    assert math.isnan(row["wilcoxon_p"])


@pytest.mark.parametrize(("other", "exploratory"), [("a_to_c", True), ("b_to_a", True), ("c_to_d", False)])
def test_pairs_that_share_a_domain_make_it_exploratory(other: str, exploratory: bool) -> None:
    [row] = average_pairs(differences(a_to_b=(0.1,), **{other: (0.2,)})).to_dict("records")
    assert row["exploratory"] is exploratory


def test_one_pair_is_no_mean() -> None:
    assert average_pairs(differences(a_to_b=(0.1, 0.2))).empty


def test_one_seed_leaves_the_mean_without_an_interval() -> None:
    [row] = average_pairs(differences(a_to_b=(0.1,), c_to_d=(0.3, 0.4))).to_dict("records")
    assert row["difference"] == pytest.approx(0.2)
    assert math.isnan(row["p_value"])
    assert math.isnan(row["difference_low"])
