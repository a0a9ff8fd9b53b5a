import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from results.cells import name_cells
from results.statistics import bootstrap_interval, compare, paired_p_value
from tests.recorded_runs import describe_run, frame

samples = st.lists(st.floats(-1, 1).map(lambda value: round(value, 4)), min_size=2, max_size=12)


def test_p_value_by_hand() -> None:
    # mean .2, sd .1, t = 2 sqrt(3); with two degrees of freedom p = 1 - t / sqrt(t² + 2) = 1 - sqrt(12 / 14).
    assert paired_p_value(np.array([0.2, 0.3, 0.1])) == pytest.approx(1 - math.sqrt(12 / 14))


@given(samples, st.integers(0, 1000))
def test_p_value_against_scipy(differences: list[float], seed: int) -> None:
    assume(np.ptp(differences) > 1e-3)
    lower = np.random.default_rng(seed).random(len(differences))
    expected = stats.ttest_rel(lower + differences, lower).pvalue
    assert paired_p_value(np.array(differences)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("differences", [[0.3], [0.2, 0.2, 0.2], [0.0, 0.0]])
def test_without_spread_there_is_no_p_value(differences: list[float]) -> None:
    assert math.isnan(paired_p_value(np.array(differences)))


@given(samples)
def test_interval_lies_in_the_data_and_is_the_same_every_time(differences: list[float]) -> None:
    low, high = bootstrap_interval(np.array(differences), resamples=500)
    assert min(differences) - 1e-12 <= low <= high <= max(differences) + 1e-12
    assert (low, high) == bootstrap_interval(np.array(differences), resamples=500)


def test_interval_against_scipy() -> None:
    values = np.random.default_rng(1).normal(0.2, 0.05, size=20)
    expected = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=2).confidence_interval
    assert bootstrap_interval(values) == pytest.approx(tuple(expected), abs=0.002)


def test_interval_of_one_seed_is_empty() -> None:
    assert all(math.isnan(end) for end in bootstrap_interval(np.array([0.2])))


def test_runs_are_paired_by_seed_not_by_order() -> None:
    runs = [describe_run("a_to_b", "source_only", seed, x) for seed, x in ((2, 0.7), (0, 0.5), (1, 0.6), (8, 0.0))]
    runs += [describe_run("a_to_b", "dann", seed, x) for seed, x in ((0, 0.7), (1, 0.9), (2, 0.8), (9, 1.0))]
    runs += [describe_run("a_to_b", "target_only", 0, 1.0)]
    [row] = compare(name_cells(frame(*runs))).to_dict("records")
    assert (row["pair"], row["method"], row["n_paired"]) == ("a_to_b", "dann", 3)
    assert row["difference"] == pytest.approx(0.2)
    assert row["p_value"] == pytest.approx(1 - math.sqrt(12 / 14))
    assert row["difference_low"] == pytest.approx(0.1)
    assert row["difference_high"] == pytest.approx(0.3)


def test_recipes_are_compared_within_themselves() -> None:
    runs = [
        describe_run("a_to_b", method, 0, target, network=network)
        for network, method, target in (
            ("x", "source_only", 0.5), ("x", "dann", 0.6), ("y", "source_only", 0.1), ("y", "dann", 0.4),
        )
    ]  # fmt: skip
    found = compare(name_cells(frame(*runs))).set_index("recipe")["difference"]
    assert found["network=x"] == pytest.approx(0.1)
    assert found["network=y"] == pytest.approx(0.3)


def test_without_a_shared_seed_nothing_is_compared() -> None:
    runs = frame(describe_run("a_to_b", "source_only", 0, 0.5), describe_run("a_to_b", "dann", 1, 0.6))
    assert compare(name_cells(runs)).empty
