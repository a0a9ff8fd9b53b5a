import doctest
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import results.words
from results.cells import name_cells, summarise
from results.statistics import compare
from results.words import count_seeds, describe_origin, describe_rows, fraction, put_into_words
from tests.recorded_runs import describe_run, frame


def sentences(targets: dict[str, tuple[float, ...]], **params: str) -> list[str]:
    runs = name_cells(
        frame(
            *(
                describe_run("a_to_b", name, seed, x, **params)
                for name, xs in targets.items()
                for seed, x in enumerate(xs)
            )
        )
    )
    return put_into_words(summarise(runs), compare(runs))


def test_the_examples_in_the_docstrings_hold() -> None:
    outcome = doctest.testmod(results.words)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@given(st.floats(-5, 5))
def test_a_fraction_is_its_number_to_three_decimals(value: float) -> None:
    assert float(fraction(value)) == pytest.approx(value, abs=0.0005001)
    assert not fraction(value).startswith(("0.", "-0."))


def test_clearly_above() -> None:
    # Differences .20, .21, .19: mean .2, sd .01, t = 34.6, two degrees of freedom: p = 1 - t / sqrt(t² + 2) = .0008.
    assert sentences({"source_only": (0.50, 0.52, 0.51), "dann": (0.70, 0.73, 0.70)}) == [
        "a → b: DANN is above source only by .200 (95 % interval .190 to .210, paired t-test p < .001, n = 3 seeds)"
    ]


def test_clearly_below() -> None:
    assert sentences({"source_only": (0.70, 0.73, 0.70), "dann": (0.50, 0.52, 0.51)}) == [
        "a → b: DANN is below source only by .200 (95 % interval -.210 to -.190, paired t-test p < .001, n = 3 seeds)"
    ]


def test_not_shown() -> None:
    [sentence] = sentences({"source_only": (0.5, 0.6, 0.7), "dann": (0.7, 0.9, 0.8)})
    assert "DANN is not shown to differ from source only: .200 (" in sentence
    assert "p = .074, n = 3 seeds" in sentence


def test_one_seed_is_not_tested() -> None:
    assert sentences({"source_only": (0.5,), "dann": (0.7,)}) == [
        "a → b: DANN - source only = .200 with one seed: no spread, so no test"
    ]


def test_equal_differences_are_not_tested() -> None:
    [sentence] = sentences({"source_only": (0.5, 0.6), "dann": (0.6, 0.7)})
    assert "not shown to differ" in sentence
    assert "p undefined without spread" in sentence


def test_nothing_to_compare_with() -> None:
    assert sentences({"dann": (0.7,), "target_only": (0.9,)}) == [
        "a → b: DANN shares no seed with a run of source only, so nothing is compared"
    ]


@pytest.mark.parametrize(
    ("counts", "words"), [([1], "n = 1 seed"), ([5, 5], "n = 5 seeds"), ([1, 3], "n = 1 to 3 seeds")]
)
def test_seeds_are_counted(counts: list[int], words: str) -> None:
    assert count_seeds(pd.Series(counts)) == words


def test_origin_is_one_line_with_everything_in_it() -> None:
    runs = [describe_run("a_to_b", "dann", seed, 0.5) for seed in (0, 1)]
    runs[0]["tags"]["git_dirty"] = "true"
    runs[1]["tags"]["hardware"] = "another\nprocessor, cpu"
    assert describe_origin(name_cells(frame(*runs)), "toy") == (
        "commit 0123456789ab with uncommitted changes; 2026-01-02; n = 2 seeds; "
        "a processor, cpu and another processor, cpu; `python -m experiments run toy` and `python -m results build toy`"
    )


def test_rows_name_selection_labels_protocol_and_absentees() -> None:
    runs = name_cells(frame(describe_run("a_to_b", "target_only", 0, 0.9, selection="target_oracle")))
    lines = describe_rows(runs, summarise(runs), {"failed": 2, "running": 1})
    assert "selection of the reported step: target_oracle" in lines
    assert "† target labels used for training and selection: target only" in lines
    assert "protocol: inductive" in lines
    assert "not in the table: 2 failed, 1 running" in lines


def test_pairs_with_different_protocols_each_have_a_line_and_changed_data_a_warning() -> None:
    first, again, second = (describe_run(pair, "dann", seed, 0.5) for pair, seed in (("a", 0), ("a", 1), ("c", 0)))
    second["tags"]["protocol"] = "transductive"
    again["tags"]["data_fingerprint"] = "beef"
    runs = name_cells(frame(first, again, second))
    lines = describe_rows(runs, summarise(runs), {})
    assert {"protocol of a: inductive", "protocol of c: transductive"} <= set(lines)
    assert [line for line in lines if "caution" in line] == [
        "caution: the runs of a saw 2 different versions of its data"
    ]


def test_nan_is_no_number() -> None:
    assert fraction(math.nan) == ""
