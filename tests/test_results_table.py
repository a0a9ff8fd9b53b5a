from typing import Any

import pandas as pd
import pytest

import results.table
from results.binomial import tabulate_wins
from results.drawing import FIGURES
from results.reading import RecordedRuns
from results.table import Request, make_table
from tests.support.recorded_runs import describe_table, frame, make_curves, make_evaluations, make_shown

CLIENT: Any = None


def test_a_run_of_which_no_step_can_be_reported_is_in_no_figure_and_no_test(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = frame(*describe_table({"source_only": (0.5, 0.6), "dann": (0.7, 0.8)}))
    curves = [make_curves(0.5, adversarial=True).assign(run_id=run_id) for run_id in ("run1", "run3")]
    monkeypatch.setattr(results.table, "read_runs", lambda *_, where: RecordedRuns(runs, {}))
    monkeypatch.setattr(results.table, "read_curves", lambda _: (pd.concat(curves), []))
    monkeypatch.setattr(results.table, "read_evaluations", lambda *_: make_evaluations() | make_shown())
    table = make_table(CLIENT, Request("toy", selection="nuclear_norm", parts=[tabulate_wins]))
    assert list(table.material.runs.index) == ["run1", "run3"]
    assert [line[:9] for line in table.problems] == ["run run0:", "run run2:"]
    for name in ("features", "samples", "confusions"):
        assert len(dict(FIGURES[name](table.material))) == 1


def test_a_blank_gap_is_explained_with_its_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = frame(*describe_table({"source_only": (0.5,), "dann": (0.7,), "target_only": (0.51,)}))
    monkeypatch.setattr(results.table, "read_runs", lambda *_, where: RecordedRuns(runs, {}))
    notes = make_table(CLIENT, Request("toy", figures=())).document.notes
    assert "no gap where source only and target only are less than .020 apart: a → b" in notes
