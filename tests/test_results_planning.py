import json
import subprocess
from pathlib import Path

import pytest

from experiments.errors import BadInput
from experiments.record.folder import folder_of
from results import __main__ as command
from results import planning
from results.planning import Planned, describe_plan, read_plan, recorded_as, spend

A, B, C = ("a" * 16, "b" * 16, "c" * 16)


def answer(monkeypatch: pytest.MonkeyPatch, stdout: str = "", stderr: str = "", returncode: int = 0) -> list[list[str]]:
    asked: list[list[str]] = []

    def run(arguments: list[str], **_options: object) -> subprocess.CompletedProcess:
        asked.append(arguments[1:])
        return subprocess.CompletedProcess(arguments, returncode, stdout, stderr)

    monkeypatch.setattr(planning.subprocess, "run", run)
    return asked


def record(hash: str, status: str, train_time_s: float | None = None) -> None:
    folder = folder_of(hash)
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"status": status, "points": 0, "message": "", "time_ms": 0}))
    if train_time_s is not None:
        (folder / "result.json").write_text(json.dumps({"metrics": {"train_time_s": train_time_s}}))


def test_what_is_there_is_told_from_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRL_RUNS", str(tmp_path))
    asked = answer(
        monkeypatch, f"{A}  dann moons seed 0 [moons]\n{B}  dann moons seed 1 [moons]\n{C}  mdd moons seed 0\n"
    )
    record(A, "FINISHED", 60.0)
    record(B, "FAILED")
    plan = read_plan("toy", ["--seeds", "2"])
    assert asked == [["-m", "experiments", "show", "toy", "--seeds", "2"]]
    assert [(run.hash, run.status, run.train_time_s) for run in plan] == [
        (A, "finished", 60.0), (B, "failed", None), (C, "missing", None),
    ]  # fmt: skip
    assert describe_plan(plan) == [
        "dann moons [moons]: 1 finished, 1 failed, 60 s a run",
        "mdd moons: 1 missing",
        "2 of 3 runs to train: 1 minutes of training and 1 of a kind that was never timed here",
    ]


def test_the_states_of_a_kind_stand_in_one_order() -> None:
    states = ("missing", "running", "finished", "missing", "failed")
    [line, *_] = describe_plan([Planned(A, f"dann moons seed {seed}", state) for seed, state in enumerate(states)])
    assert line == "dann moons: 1 finished, 1 failed, 1 running, 2 missing"


def test_one_experiment_is_a_plan_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRL_RUNS", str(tmp_path))
    answer(monkeypatch, f"pair                        moons\nhash                        {A}\n")
    assert read_plan("moons") == [Planned(A, "moons", "missing")]


def test_nothing_is_left_to_train() -> None:
    assert describe_plan([Planned(A, "dann moons seed 0", "finished", 1.0)])[-1] == "all 1 runs are finished"


def test_what_experiments_refuses_is_refused_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, stderr="error: unknown experiment 'tio'\n", returncode=2)
    with pytest.raises(BadInput, match=r"^unknown experiment 'tio'$"):
        read_plan("tio")


def test_a_budget_is_a_number_of_seeds() -> None:
    assert spend("full") == ["--seeds", "10"]


def test_reproduce_trains_then_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, built = answer(monkeypatch), []
    monkeypatch.setattr(command, "build", lambda name, options: built.append(name) or 0)
    assert command.main(["reproduce", "mine:toy", "--workers", "4", "--budget", "quick"]) == 0
    assert asked == [["-m", "experiments", "run", "mine:toy", "--workers", "4", "--seeds", "3"]]
    assert built == ["toy"]


def test_a_training_that_failed_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, returncode=1)
    monkeypatch.setattr(command, "build", lambda *_arguments: pytest.fail("built"))
    assert command.main(["reproduce", "toy"]) == 1


@pytest.mark.parametrize(("name", "experiment"), [("demo", "demo"), ("my.module:own.recipe", "own_recipe")])
def test_a_recipe_is_recorded_under_its_own_name(name: str, experiment: str) -> None:
    assert recorded_as(name) == experiment


def test_the_real_command_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRL_RUNS", str(tmp_path))
    plan = read_plan("moons_alphas", ["--seeds", "1"])
    assert len(plan) == 18
    assert {run.status for run in plan} == {"missing"}
    assert len({run.kind for run in plan}) == 18
