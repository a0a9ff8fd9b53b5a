"""The alpha atlas by hand."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from experiments.errors import BadInput
from experiments.record import names
from experiments.record.store import open_client
from results import atlas
from results.atlas import average_families, compare_families, make_atlas, put_into_words
from results.reading import RecordedRuns
from results.table import Request, Table
from tests.support.recorded_runs import describe_run, frame, report

SCORE = "metric.information_maximisation"


def swept(family: str, value: str, score: float, *targets: float) -> list[dict[str, dict]]:
    runs = [
        describe_run("a_to_b", "dann", seed, target, **{"method.alpha": family, "method.alpha.gamma": value})
        for seed, target in enumerate(targets)
    ]
    for run in runs:
        run["metrics"][SCORE.removeprefix("metric.")] = score
    return runs


def test_each_family_shows_what_would_be_chosen_and_what_that_costs() -> None:
    runs = report(
        *swept("Ganin", "10.0", 0.9, 0.6, 0.7), *swept("Ganin", "2.0", 0.2, 0.9, 0.9), *swept("Constant", "1", 1.0, 0.5)
    )
    constant, ganin = compare_families(runs, SCORE).to_dict("records")
    assert (constant["family"], ganin["family"]) == ("Constant", "Ganin")  # the larger score first
    assert (ganin["settings"], ganin["setting"], ganin["seeds"]) == (2, "gamma=10", 2)
    assert (ganin["accuracy"], ganin["best"], ganin["regret"]) == pytest.approx((0.65, 0.9, 0.25))
    [line] = put_into_words(compare_families(runs, SCORE))
    assert line == (
        "a → b: DANN: Constant would be chosen, .500; the best setting in hindsight is of Ganin, .900: regret .400"
    )


def test_methods_and_recipes_do_not_compete() -> None:
    runs = swept("Ganin", "1", 0.9, 0.6)
    for change in ({"method": "cdan"}, {"lr": "0.1"}, {"method.entropy": "True"}):
        runs += [each | {"params": each["params"] | change} for each in swept("Ganin", "1", 0.8, 0.5)]
    for run in runs:
        run["params"] = {"lr": "0.01", "method.entropy": "False"} | run["params"]
    families = compare_families(report(*runs), SCORE)
    overall, *lines = put_into_words(families)
    assert overall == "over 4 tasks what would be chosen has a mean regret of .000, .000 at worst"
    assert [line.partition(":")[0] for line in lines] == ["a → b (lr=0.01)"] * 3 + ["a → b (lr=0.1)"]
    assert [line.split(": ")[1] for line in lines] == [
        "CDAN", "DANN", "DANN entropy", "DANN",
    ]  # fmt: skip


def test_families_over_all_tasks() -> None:
    """Two tasks: Constant is chosen on both and best on one; Ganin was tried on both, Cosine on one."""
    columns = ("pair", "recipe", "method", "variant", "family", "score", "accuracy", "best")
    rows = [
        ("a_to_b", "", "dann", "", "Constant", 0.9, 0.6, 0.8),
        ("a_to_b", "", "dann", "", "Ganin", 0.8, 0.7, 0.7),
        ("c_to_d", "", "dann", "", "Constant", 0.9, 0.5, 0.5),
        ("c_to_d", "", "dann", "", "Ganin", 0.5, 0.9, 0.9),
        ("c_to_d", "", "dann", "", "Cosine", 0.2, 0.4, 0.4),
        ("e_to_f", "", "dann", "", "Cosine", 0.2, 0.4, 0.4),  # alone: compared with nothing
    ]
    overall = average_families(pd.DataFrame(rows, columns=columns))
    assert overall.to_dict("list") == {
        "family": ["Ganin", "Constant", "Cosine"],
        "tasks": [2, 2, 1],
        "chosen": [0, 2, 0],
        "best": [1, 1, 0],
        "short": pytest.approx([0.05, 0.3, 0.5]),
    }


def test_families_that_tie_for_the_best_are_all_named_and_all_counted() -> None:
    runs = report(
        *swept("Ganin", "1", 0.9, 0.1, 0.2, 0.3),
        *swept("Constant", "1", 0.8, 0.3, 0.2, 0.1),
        *swept("Step", "1", 0.7, 0.1),
    )
    families = compare_families(runs, SCORE)
    assert "the best setting in hindsight is of Ganin and Constant, .200: regret .000" in put_into_words(families)[0]
    best = average_families(families).set_index("family")["best"]
    assert best.to_dict() == {"Ganin": 1, "Constant": 1, "Step": 0}


def make(monkeypatch: pytest.MonkeyPatch, *runs: dict[str, dict], **options: Any) -> tuple[Table, list[str]]:
    read: list[str] = []
    experiments = [
        SimpleNamespace(name=name, experiment_id=name) for name in ("demo", "sweep_alpha", "sweep_alpha_confirmation")
    ]
    trials = [{"run_id": state.lower(), "tag.state": state} for state in ("COMPLETE", "FAIL", "PRUNED")]
    monkeypatch.setattr(atlas, "search", lambda *_, kind: trials)
    client: Any = SimpleNamespace(search_experiments=lambda: experiments)
    monkeypatch.setattr(
        atlas, "read_runs", lambda _, *names, where: read.extend(names) or RecordedRuns(frame(*runs), {})
    )
    options = {"selection": "information_maximisation", "figures": ()} | options
    return make_atlas(client, Request("alpha_atlas", **options)), read


def test_runs_of_different_commits_stand_apart_unless_mixed_and_fresh_seeds_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = swept("Ganin", "1", 0.9, 0.6, 0.7) + swept("Ganin", "1", 0.9, 0.8, 0.8)
    for run in runs[2:]:
        run["tags"][names.COMMIT] = "fedcba9876543210"
    table, read = make(monkeypatch, *runs)
    assert read == ["sweep_alpha"]
    assert list(table.frames[""]["recipe"]) == ["commit=0123456", "commit=fedcba9"]
    table, _ = make(monkeypatch, *runs, mixed=True)
    assert list(table.frames[""]["seeds"]) == [2]
    assert sum(note.startswith("repeated, not in the table: dann on a_to_b") for note in table.document.notes) == 2


def test_a_setting_whose_trial_lost_a_seed_or_was_pruned_does_not_compete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its survivor may shine: 1.0 here, of two seeds of which one has diverged."""
    runs = swept("Ganin", "1", 0.9, 0.6, 0.7) + swept("Constant", "1", 2.0, 1.0) + swept("Step", "1", 1.5, 0.9)
    for run, state in zip(runs, ("complete", "complete", "fail", "pruned"), strict=True):
        run["tags"]["mlflow.parentRunId"] = state
    table, _ = make(monkeypatch, *runs)
    assert list(table.frames[""]["family"]) == ["Ganin"]
    assert "not in the table: 2 runs of trials that are not complete" in table.document.notes
    with pytest.raises(BadInput, match="no trial of a sweep over alpha schedules is complete"):
        make(monkeypatch, *runs[2:])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"selection": "target_oracle"},
            "selection must be a validator, which chooses settings here, got target_oracle",
        ),
        ({"figures": ("curves",)}, "alpha_atlas has no figure curves: allowed are none, or one of your own"),
        ({"run_figures": True}, "alpha_atlas gives no run a figure"),
    ],
)
def test_what_an_atlas_has_not_is_refused(monkeypatch: pytest.MonkeyPatch, options: dict, said: str) -> None:
    with pytest.raises(BadInput, match=f"^{said}"):
        make(monkeypatch, *swept("Ganin", "1", 0.9, 0.6), **options)


def test_a_score_that_was_not_recorded_is_named() -> None:
    with pytest.raises(BadInput, match=r"^nuclear_norm was not recorded"):
        compare_families(report(*swept("Ganin", "1", 1.0, 0.5)), "metric.nuclear_norm")


def test_without_a_sweep_there_is_no_atlas(store) -> None:
    with pytest.raises(BadInput, match=r"no sweep over alpha schedules is recorded"):
        make_atlas(open_client(create=False), Request("alpha_atlas", selection="nuclear_norm", figures=()))
