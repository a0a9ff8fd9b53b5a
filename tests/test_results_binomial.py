"""The Poisson binomial test against enumeration and simulation."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.record import names
from results.binomial import beat, compare_wins, tabulate_wins, win_most
from results.drawing.base import Material
from tests.support.recorded_runs import EVALUATED, describe_table, report

chances = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None)
@given(chances)
def test_most_wins_by_enumeration(given_chances: list[float]) -> None:
    total = 0.0
    for outcome in itertools.product((0, 1), repeat=len(given_chances)):
        probability = np.prod([c if won else 1 - c for c, won in zip(given_chances, outcome, strict=True)])
        balance = 2 * sum(outcome) - len(outcome)
        total += probability * (1.0 if balance > 0 else 0.5 if balance == 0 else 0.0)
    assert win_most(given_chances) == pytest.approx(total, abs=1e-12)


def test_beating_by_simulation() -> None:
    random = np.random.default_rng(0)
    first, second = np.array([True] * 9 + [False] * 6 + [True] * 20), np.array([False] * 9 + [True] * 6 + [True] * 20)
    drawn = random.beta(9.5, 6.5, 400_000)
    assert beat(first, second) == pytest.approx((drawn > 0.5).mean(), abs=3e-3)
    assert beat(first, second) + beat(second, first) == pytest.approx(1)
    assert beat(first, first) == 0.5


def test_wins_are_counted_on_shared_pairs_and_seeds() -> None:
    runs = report(
        *(
            run
            for pair in ("a_to_b", "c_to_d", "e_to_f")
            for run in describe_table({"dann": (0.8,), "mdd": (0.5,)}, pair)
        )
    )

    def read(run_id: str) -> dict[str, np.ndarray]:
        good = np.arange(11) < (9 if runs["method"][run_id] == "dann" else 4)  # 11 bits in two bytes
        return {names.STEPS: np.array(EVALUATED), names.TARGET_RIGHT: np.stack([np.packbits(good)] * len(EVALUATED))}

    table = Material(runs, pd.DataFrame(), pd.DataFrame(), read)
    [row] = compare_wins(table).to_dict("records")
    assert (row["first"], row["second"], row["pairs"]) == ("DANN", "MDD", 3)
    each = beat(np.arange(11) < 9, np.arange(11) < 4)
    assert row["probability"] == pytest.approx(each**3 + 3 * each**2 * (1 - each))
    grid, notes = tabulate_wins(table)
    assert grid.rows[0][:2] == ["DANN", "MDD"]
    assert len(notes) == 1
    chosen = Material(runs.assign(selection="target_oracle"), pd.DataFrame(), pd.DataFrame(), read)
    assert tabulate_wins(chosen)[0].rows[0][:2] == ["DANN †", "MDD †"]


def test_without_recorded_answers_nothing_is_said() -> None:
    table = Material(
        report(*describe_table({"dann": (0.8,), "mdd": (0.5,)})), pd.DataFrame(), pd.DataFrame(), lambda _: None
    )
    assert tabulate_wins(table)[0].rows == []
