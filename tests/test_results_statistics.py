import doctest
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

import results.statistics
from results.grids import tabulate_pairs
from results.paired import estimate_paired
from results.statistics import compare, count_required, holm
from tests.support.recorded_runs import describe_run, describe_table, report

samples = st.lists(st.floats(-1, 1).map(lambda value: round(value, 4)), min_size=2, max_size=12)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_the_examples_in_the_docstrings_hold() -> None:
    outcome = doctest.testmod(results.statistics)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_one_paired_test_by_hand() -> None:
    # mean .2, sd .1, t = 2 sqrt(3); with two degrees of freedom p = 1 - t / sqrt(t² + 2) = 1 - sqrt(12 / 14), and the
    # quantile of t is u sqrt(2 / (1 - u²)) at u = .95.
    estimate = estimate_paired(np.array([0.7, 0.9, 0.8]), np.array([0.5, 0.6, 0.7]))
    half = 0.95 * math.sqrt(2 / (1 - 0.95**2)) * 0.1 / math.sqrt(3)
    assert estimate == pytest.approx((0.2, 0.2 - half, 0.2 + half, 1 - math.sqrt(12 / 14)))


@given(samples)
def test_interval_and_p_never_contradict_each_other(differences: list[float]) -> None:
    assume(np.ptp(differences) > 1e-3)
    estimate = estimate_paired(np.array(differences), np.zeros(len(differences)))
    assume(abs(estimate.p_value - 0.05) > 1e-9)
    assert (estimate.p_value < 0.05) == (not estimate.low <= 0 <= estimate.high)


@pytest.mark.parametrize("differences", [[0.3], [0.2, 0.2, 0.2], [0.0, 0.0]])
def test_without_spread_there_is_neither_interval_nor_p(differences: list[float]) -> None:
    estimate = estimate_paired(np.array(differences), np.zeros(len(differences)))
    assert estimate.mean == pytest.approx(differences[0])
    assert all(math.isnan(value) for value in estimate[1:])


def test_holm_by_hand() -> None:
    # .01 · 4, .02 · 3, .03 · 2 (not below .06), .5 · 1; no test counts for nothing.
    adjusted = holm([0.5, 0.02, math.nan, 0.01, 0.03])
    np.testing.assert_allclose(adjusted, [0.5, 0.06, np.nan, 0.04, 0.06])


@given(p_values)
def test_holm_adjusts_upwards_keeps_the_order_and_rejects_what_its_definition_rejects(values: list[float]) -> None:
    adjusted = holm(values)
    assert (adjusted >= np.array(values)).all()
    assert (adjusted <= 1).all()
    order = np.argsort(values)
    assert (np.diff(adjusted[order]) >= 0).all()
    rejected = 0  # Holm (1979): go up while p_(i) <= .05 / (m - i + 1)
    while rejected < len(values) and values[order[rejected]] * (len(values) - rejected) <= 0.05:
        rejected += 1
    assert int((adjusted <= 0.05).sum()) == rejected


@pytest.mark.parametrize(("mean", "sd"), [(0.05, 0.05), (0.02, 0.05), (0.1, 0.06)])
def test_the_seeds_required_give_the_power(mean: float, sd: float) -> None:
    n = count_required(mean, sd, tests=1)
    power = stats.nct.sf(stats.t.isf(0.025, n - 1), n - 1, mean / sd * math.sqrt(n))
    fewer = stats.nct.sf(stats.t.isf(0.025, n - 3), n - 3, mean / sd * math.sqrt(n - 2))
    assert power > 0.795
    assert n == 10 or fewer < 0.8


def test_more_tests_require_more_seeds_and_no_difference_none_that_can_be_counted() -> None:
    assert count_required(0.05, 0.05, tests=16) > count_required(0.05, 0.05, tests=1)
    assert math.isnan(count_required(0.0, 0.05, tests=1))
    assert math.isnan(count_required(0.1, math.nan, tests=1))


def test_the_gap_comes_from_seeds_that_all_three_have() -> None:
    runs = describe_table({"source_only": (0.5, 0.6, 0.7), "dann": (0.7, 0.9, 0.8)})
    runs += [describe_run("a_to_b", "target_only", seed, 1.0) for seed in (1, 2, 9)]
    [row] = compare(report(*runs))[0].to_dict("records")
    assert row["gap_covered"] == pytest.approx((0.85 - 0.65) / (1 - 0.65))  # seeds 1 and 2
    assert row["difference"] == pytest.approx(0.2)  # all three


def test_runs_are_paired_by_seed_not_by_order() -> None:
    runs = [describe_run("a_to_b", "source_only", seed, x) for seed, x in ((2, 0.7), (0, 0.5), (1, 0.6), (8, 0.0))]
    runs += [describe_run("a_to_b", "dann", seed, x) for seed, x in ((0, 0.7), (1, 0.9), (2, 0.8), (9, 1.0))]
    [row] = compare(report(*runs))[0].to_dict("records")
    assert (row["pair"], row["method"], row["n_paired"]) == ("a_to_b", "dann", 3)
    assert row["difference"] == pytest.approx(0.2)
    assert row["p_value"] == pytest.approx(1 - math.sqrt(12 / 14))
    np.testing.assert_allclose(np.array(row["differences"].split(), float), [0.2, 0.3, 0.1])


def test_recipes_are_compared_within_themselves() -> None:
    runs = [
        describe_run("a_to_b", method, 0, target, network=network)
        for network, method, target in (
            ("x", "source_only", 0.5), ("x", "dann", 0.6), ("y", "source_only", 0.1), ("y", "dann", 0.4),
        )
    ]  # fmt: skip
    found = compare(report(*runs))[0].set_index("recipe")["difference"]
    assert found["network=x"] == pytest.approx(0.1)
    assert found["network=y"] == pytest.approx(0.3)


def smoothed(method: str, smoothing: str, *targets: float) -> list[dict[str, dict]]:
    return describe_table({method: targets}, **{"method.label_smoothing": smoothing})


def test_a_method_is_compared_with_the_anchor_of_its_own_fields() -> None:
    runs = report(
        *smoothed("source_only", "0.0", 0.1), *smoothed("source_only", "0.1", 0.5), *smoothed("dann", "0.1", 0.7),
        *smoothed("target_only", "0.0", 0.2), *smoothed("target_only", "0.1", 0.9), *smoothed("dann", "0.2", 0.8),
    )  # fmt: skip
    [row] = compare(runs)[0].to_dict("records")  # none for 0.2
    assert (row["variant"], row["difference"]) == ("label_smoothing=0.1", pytest.approx(0.2))
    assert row["gap_covered"] == pytest.approx(0.5)


def test_a_method_without_the_fields_that_tell_anchors_apart_is_compared_with_none() -> None:
    runs = report(
        *smoothed("source_only", "0.0", 0.1), *smoothed("source_only", "0.1", 0.5), *describe_table({"dann": (0.7,)})
    )
    assert compare(runs)[0].empty


def test_without_a_shared_seed_nothing_is_compared() -> None:
    runs = [describe_run("a_to_b", "source_only", 0, 0.5), describe_run("a_to_b", "dann", 1, 0.6)]
    comparisons, pairs = compare(report(*runs))
    assert comparisons.empty
    assert pairs.empty


def test_failed_runs_have_no_part_in_a_comparison() -> None:
    runs = describe_table({"source_only": (0.5, 0.6, 0.7), "dann": (0.7, 0.9, 0.0)})
    runs[-1]["status"] = "failed"
    assert compare(report(*runs))[0]["n_paired"].tolist() == [2]


def test_every_comparison_of_a_table_counts_for_holm_the_means_over_pairs_too() -> None:
    runs = [
        run
        for pair, shift in (("a_to_b", 0.0), ("c_to_d", 0.01))
        for run in describe_table(
            {"source_only": (0.5, 0.6, 0.7), "dann": (0.7, 0.9, 0.8 + shift), "cdan": (0.6, 0.8, 0.7)}, pair
        )
    ]
    comparisons, pairs = compare(report(*runs))
    raw = pd.concat([comparisons["p_value"], pairs["p_value"]]).to_numpy()
    np.testing.assert_allclose([*comparisons["p_holm"], *pairs["p_holm"]], holm(raw))
    assert len(raw) == 6
    chosen = compare(report(*runs).assign(selection="target_oracle"))[1]
    assert [row[0] for row in tabulate_pairs(chosen)[0].rows] == ["CDAN †", "DANN †"]
