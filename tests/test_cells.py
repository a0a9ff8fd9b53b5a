import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.cells import gap_covered, name_cells, summarise
from tests.recorded_runs import describe_run, frame


def cell(cells: pd.DataFrame, method: str) -> dict:
    [row] = cells[cells["method"] == method].to_dict("records")
    return row


def test_runs_that_differ_in_their_seed_alone_share_a_cell() -> None:
    runs = name_cells(frame(*(describe_run("a_to_b", "dann", seed, 0.5) for seed in (2, 0, 11))))
    assert list(runs["recipe"]) == list(runs["variant"]) == [""] * 3
    [row] = summarise(runs).to_dict("records")
    assert (row["n"], row["seeds"]) == (3, "0 2 11")


def test_means_spreads_and_gap_by_hand() -> None:
    targets = {"source_only": (0.5, 0.6, 0.7), "dann": (0.7, 0.9, 0.8), "target_only": (1.0, 1.0, 1.0)}
    runs = [describe_run("a_to_b", method, seed, x) for method, xs in targets.items() for seed, x in enumerate(xs)]
    cells = summarise(name_cells(frame(*runs)))
    assert list(cells["method"]) == ["source_only", "dann", "target_only"]
    np.testing.assert_allclose(cells["target_accuracy"], [0.6, 0.8, 1.0])
    np.testing.assert_allclose(cells["target_accuracy_sd"], [0.1, 0.1, 0.0], atol=1e-12)
    np.testing.assert_allclose(cells["gap_covered"], [np.nan, 0.5, np.nan])  # (.8 - .6) / (1 - .6)
    np.testing.assert_allclose(cells["domain_loss"], [np.nan, 0.69, np.nan])
    assert list(cells["target_labels"]) == ["no", "no", "training"]


def test_one_seed_has_a_mean_and_no_spread() -> None:
    row = cell(summarise(name_cells(frame(describe_run("a_to_b", "dann", 0, 0.5)))), "dann")
    assert row["target_accuracy"] == 0.5
    assert np.isnan(row["target_accuracy_sd"])


def test_the_oracle_is_marked() -> None:
    runs = frame(describe_run("a_to_b", "dann", 0, 0.5, selection="target_oracle"))
    assert cell(summarise(name_cells(runs)), "dann")["target_labels"] == "selection"


def test_a_different_network_is_a_different_recipe() -> None:
    runs = [
        describe_run("a_to_b", method, 0, target, network=network)
        for network, target in (("small", 0.5), ("large", 0.9))
        for method in ("source_only", "dann")
    ]
    runs.append(describe_run("c_to_d", "dann", 0, 0.5))
    named = name_cells(frame(*runs))
    assert list(named["recipe"]) == ["network=small", "network=small", "network=large", "network=large", ""]
    assert len(summarise(named)) == 5


def test_a_different_schedule_is_a_variant_under_the_same_anchors() -> None:
    runs = [
        describe_run("a_to_b", "source_only", 0, 0.5),
        describe_run("a_to_b", "target_only", 0, 0.9),
        describe_run("a_to_b", "dann", 0, 0.6),
        describe_run("a_to_b", "dann", 0, 0.7, **{"alpha.gamma": "5.0"}),
    ]
    cells = summarise(name_cells(frame(*runs)))
    assert list(cells["variant"]) == ["", "alpha.gamma=10.0", "alpha.gamma=5.0", ""]
    np.testing.assert_allclose(cells["gap_covered"], [np.nan, 0.25, 0.5, np.nan])


@pytest.mark.parametrize("missing", ["source_only", "target_only"])
def test_a_missing_anchor_leaves_the_gap_empty(missing: str) -> None:
    methods = {"source_only", "target_only", "dann"} - {missing}
    cells = summarise(name_cells(frame(*(describe_run("a_to_b", method, 0, 0.5) for method in sorted(methods)))))
    assert cells["gap_covered"].isna().all()


def test_equal_anchors_leave_the_gap_empty() -> None:
    methods = ("source_only", "target_only", "dann")
    cells = summarise(name_cells(frame(*(describe_run("a_to_b", method, 0, 0.5) for method in methods))))
    assert cells["gap_covered"].isna().all()


accuracies = st.floats(0, 1).map(lambda value: round(value, 4))


@given(lower=accuracies, method=accuracies, upper=accuracies)
def test_gap_places_the_method_between_the_anchors(lower: float, method: float, upper: float) -> None:
    cells = pd.DataFrame(
        {
            "pair": "a",
            "recipe": "",
            "method": ["source_only", "dann", "target_only"],
            "target_accuracy": [lower, method, upper],
        }
    )
    gap = gap_covered(cells)[1]
    if lower == upper:
        assert np.isnan(gap)
    else:
        assert lower + gap * (upper - lower) == pytest.approx(method)
