import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import results.words
from results.cells import CELL, summarise
from results.grids import tabulate_pairs
from results.statistics import compare
from results.words import fraction, put_into_words, put_pairs_into_words
from tests.support.recorded_runs import describe_run, describe_table, report


def sentences(targets: dict[str, tuple[float, ...]], *failed: int) -> list[str]:
    described = describe_table(targets)
    for number in failed:
        described[number]["status"] = "failed"
    runs = report(*described)
    return put_into_words(summarise(runs).merge(compare(runs)[0], on=CELL, how="left"))


def spread(centre: float, n: int, step: float = 0.001) -> tuple[float, ...]:
    return tuple(centre + step * ((seed * 7) % 5 - 2) for seed in range(n))


def test_the_examples_in_the_docstrings_hold() -> None:
    outcome = doctest.testmod(results.words)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@given(st.floats(-5, 5))
def test_a_fraction_is_its_number_to_three_decimals(value: float) -> None:
    assert float(fraction(value)) == pytest.approx(value, abs=0.0005001)
    assert not fraction(value).startswith(("0.", "-0."))
    assert fraction(value) != "-.000"


@pytest.mark.parametrize(("centre", "side"), [(0.7, "above"), (0.3, "below")])
def test_ten_seeds_make_a_claim(centre: float, side: str) -> None:
    [sentence] = sentences({"source_only": (0.5,) * 10, "dann": spread(centre, 10)})
    assert sentence.startswith(f"a → b: DANN is {side} source only by .200 (95 % interval ")
    assert sentence.endswith(
        "p < .001 after Holm, n = 10 seeds: " + " ".join(fraction(value - 0.5) for value in spread(centre, 10)) + ")"
    )


def test_of_what_is_not_shown_it_is_said_how_many_more_seeds_would_show_it() -> None:
    # (2.80 · .0652 / .0402)² + 1.92 = 22.6
    [sentence] = sentences({"source_only": (0.5,) * 5, "dann": (0.6, 0.601, 0.45, 0.55, 0.5)})
    assert sentence.endswith(
        "; to show such a difference four times in five takes 18 seeds more"
    )  # (2.80 · .0652 / .0402)² + 1.92 = 22.6
    [sentence] = sentences({"source_only": (0.5,) * 5, "dann": (0.4, 0.601, 0.45, 0.55, 0.5)})
    assert sentence.endswith("; to show such a difference four times in five takes at least 1,000 seeds more")


def test_fewer_than_five_seeds_give_no_verdict() -> None:
    assert sentences({"source_only": (0.50, 0.52, 0.51), "dann": (0.70, 0.73, 0.70)}) == [
        "a → b: DANN - source only = .200, with fewer than 5 seeds no verdict "
        "(95 % interval .175 to .225, paired t-test p < .001, p < .001 after Holm, n = 3 seeds: .200 .210 .190)"
    ]


def test_not_shown() -> None:
    [sentence] = sentences({"source_only": (0.5, 0.6, 0.7, 0.6, 0.6), "dann": (0.4, 0.9, 0.8, 0.5, 0.7)})
    assert "DANN is not shown to differ from source only: .060 (" in sentence


def test_what_only_the_raw_p_shows_is_not_claimed() -> None:
    # The same differences as alone, among nine other methods: p = .025 · 10.
    values = (0.52, 0.56, 0.57, 0.51, 0.54)
    alone = sentences({"source_only": (0.5,) * 5, "dann": values})
    among = sentences({"source_only": (0.5,) * 5, "dann": values} | {f"m{i}": values[::-1] for i in range(9)})
    assert "is above source only" in alone[0]
    assert all("is not shown to differ" in sentence for sentence in among)


def test_survivors_are_never_above() -> None:
    [sentence] = sentences({"source_only": (0.5,) * 10, "dann": spread(0.7, 10)}, 19)
    assert "DANN - source only = .200, survivors only, so nothing is claimed (" in sentence
    assert "n = 9 seeds" in sentence
    assert "above" not in sentence


def test_one_seed_is_not_tested() -> None:
    assert sentences({"source_only": (0.5,), "dann": (0.7,)}) == [
        "a → b: DANN - source only = .200 with one seed: no spread, so no test"
    ]


def test_equal_differences_are_not_tested_and_it_is_said_why() -> None:
    assert sentences({"source_only": (0.5, 0.6), "dann": (0.6, 0.7)}) == [
        "a → b: DANN - source only = .100 with each of 2 seeds: no spread, so no test"
    ]


def test_nothing_to_compare_with() -> None:
    assert sentences({"dann": (0.7,), "cdan": (0.7,), "target_only": (0.9,)}) == [
        "no method shares a finished seed with a run of source only, so nothing is compared"
    ]
    assert sentences({"source_only": (0.5, 0.6), "dann": (0.7, 0.9), "cdan": (0.7, 0.8)}, 4, 5)[0] == (
        "a → b: CDAN shares no finished seed with its source only, so nothing is compared"
    )


def test_means_over_pairs_name_both_tests_and_what_they_are_worth() -> None:
    def line_of(*pairs: str) -> str:
        targets = {"source_only": (0.5, 0.6, 0.7), "dann": (0.7, 0.9, 0.8)}
        runs = [run for pair in pairs for run in describe_table(targets, pair)]
        [line] = put_pairs_into_words(compare(report(*runs))[1])
        return line

    line = line_of("a_to_b", "a_to_c")
    assert line.startswith("mean over 2 pairs: DANN - source only = .200 (95 % interval ")
    assert line.endswith(" after Holm, n = 3 seeds that all pairs have)")
    line = line_of(*(f"a_to_b{number}" for number in range(6)))
    assert line.endswith("; do pairs agree? Wilcoxon p = .031, exploratory: pairs share domains")


def test_means_over_pairs_of_survivors_claim_nothing() -> None:
    runs = [
        run
        for pair in ("a_to_b", "c_to_d")
        for run in describe_table({"source_only": (0.5, 0.6, 0.7), "dann": (0.7, 0.9, 0.8)}, pair)
    ]
    runs[-1]["status"] = "failed"
    pairs = compare(report(*runs))[1]
    [line] = put_pairs_into_words(pairs)
    assert line.startswith("mean over 2 pairs: DANN - source only = .250, survivors only, so nothing is claimed (95 % ")
    assert tabulate_pairs(pairs)[0].rows[0][-2:] == ["2", "2 of 3"]


def test_means_over_pairs_of_one_seed_have_no_test() -> None:
    runs = [describe_run(p, m, 0, x) for p in ("a_to_b", "c_to_d") for m, x in (("source_only", 0.5), ("dann", 0.6))]
    [line] = put_pairs_into_words(compare(report(*runs))[1])
    assert line == "mean over 2 pairs: DANN - source only = .100 with one seed: no spread, so no test"


def test_nan_is_no_number() -> None:
    assert fraction(math.nan) == ""
