"""The validator study, of made-up runs."""

from typing import Any

import pandas as pd
import pytest

from results import study
from results.reading import RecordedRuns
from results.study import make_study
from results.table import Request
from tests.support.recorded_runs import describe_run, frame, make_curves


def test_what_trains_on_target_labels_or_goes_back_to_judge_another_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs = ("a_to_b", "a_to_b_reversed_0123456789abcdef", "a_to_b_circular_0123456789abcdef")
    described = [describe_run(pair, "dann", 0, 0.8) for pair in pairs] + [describe_run("a_to_b", "target_only", 0, 0.9)]
    client: Any = None
    monkeypatch.setattr(study, "list_experiments", lambda _: {"name": ["toy"]})
    monkeypatch.setattr(study, "read_runs", lambda *_, where: RecordedRuns(frame(*described), {}))
    monkeypatch.setattr(
        study,
        "read_curves",
        lambda addresses: (pd.concat(make_curves(0.8, adversarial=True).assign(run_id=each) for each in addresses), []),
    )
    table = make_study(client, Request("validator_study", figures=()))
    assert list(table.material.runs.index) == ["run0"]
    overall = table.frames[""].set_index("validator")
    assert (overall["runs"]["last"], overall["regret"]["last"]) == (1, 0)  # accuracy rises to the last step
    assert set(table.frames["_pairs"]["pair"]) == {"a_to_b"}
