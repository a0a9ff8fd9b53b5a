"""The validator study, of made-up runs."""

import math
from typing import Any

import pandas as pd
import pytest

from results import study
from results.judging import average
from results.reading import RecordedRuns
from results.study import _tabulate, make_study, put_into_words
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


def judged(pair: str, validator: str, regret: float, settings: int = 0) -> dict[str, Any]:
    of_steps = {"pair": pair, "validator": validator, "runs": 3, "correlation": 0.5, "regret": regret, "worst": regret}
    among = (0.5, regret) if settings else (math.nan, math.nan)
    of_settings = dict(zip(("settings_correlation", "settings_regret"), among, strict=True))
    return of_steps | {"settings": settings} | of_settings


def test_means_over_fewer_pairs_are_marked_and_rank_with_none() -> None:
    """DEV was scored on the easy pair alone, where it is no better than the others."""
    by_pair = pd.DataFrame(
        [
            judged("easy", "last", 0.01),
            judged("easy", "dev", 0.01, 5),
            judged("easy", "mixval", 0.01, 5),
            judged("hard", "last", 0.3),
            judged("hard", "mixval", 0.2, 5),
        ]
    )
    overall = average(by_pair)
    step, _, setting = put_into_words(overall, by_pair)
    assert "at worst the smallest, .200: mixval;" in step
    tied, *_ = put_into_words(overall.assign(worst=0.4), by_pair)
    assert "at worst the smallest, .400: last and mixval;" in tied
    assert step.startswith("which step? over 6 runs, of the 2 with scores on all 2 pairs mixval has the smallest mean")
    assert step.endswith("smallest of a pair, alone or with others, most often: mixval, on 2")
    assert "of the 1 with scores on all 2 pairs mixval has the smallest mean regret" in setting
    grid = _tabulate("over all pairs", overall, "mean over pairs")
    assert len(set(grid.headings)) == len(grid.headings)
    assert {row[0]: (row[1], row[5]) for row in grid.rows} == {
        "last": ("6 (2)", ""), "dev": ("3 (1)", "5 (1)"), "mixval": ("6 (2)", "10 (2)"),
    }  # fmt: skip
