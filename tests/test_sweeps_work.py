"""A whole sweep: worker processes, MLflow, kills."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
import zlib
from base64 import b64decode

import pytest
from rich.console import Console

from experiments.record import names
from experiments.record.folder import folder_of, read_points
from experiments.work.driver import Ended
from experiments.work.local import Local
from sweeps.study import Study, open_study
from sweeps.tracking import report_study
from sweeps.work import work_off_sweep
from tests.support.small_sweeps import RECIPE, Inline, Pretend, drive, pretend, small_sweep, suggest_ruin


def tree_of(client, sweep):
    """The MLflow runs of a sweep by kind."""
    experiment_id = client.get_experiment_by_name(f"sweep_{sweep.name}").experiment_id
    found = {kind: [] for kind in ("study", "trial", "run")}
    for each in client.search_runs([experiment_id]):
        found[each.data.tags["kind"]].append(each)
    return found


def test_a_whole_sweep_in_two_processes(client, runs, capsys, monkeypatch):
    """Good trials and failed ones; then MLflow holds study -> trial -> seed, and nothing is left to do."""
    monkeypatch.setenv("COLUMNS", "300")
    sweep = small_sweep(trials=4, seeds=2, suggest=suggest_ruin)
    outcome = work_off_sweep(sweep, open_pool=lambda: Local(2), console=Console())
    trials = open_study(sweep.study_name).get_trials(deepcopy=False)
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE", "FAIL"]
    assert (outcome.exit_code, outcome.undelivered) == (0, "")
    assert f"trial 1: {trials[1].user_attrs['shown']} -> FAILED: " in capsys.readouterr().out

    found = tree_of(client, sweep)
    [study] = found["study"]
    best = max(trials[0].value, trials[2].value)
    assert (study.info.status, study.data.metrics["information_maximisation"]) == ("FINISHED", best)
    assert "no target label is used" in study.data.tags["mlflow.note.content"]
    view = json.loads(client.get_experiment(study.info.experiment_id).tags["mlflow.sharedViewState.trials"])
    page = json.loads(zlib.decompress(b64decode(view["state"].removeprefix("deflate;"))))
    shown = client.search_runs([study.info.experiment_id], page["searchFilter"])
    assert {each.info.run_id for each in shown} == {each.info.run_id for each in found["trial"]}
    assert page["orderByKey"] == "metrics.`information_maximisation`"  # by its begin it would nest, and draw the study
    of_number = {trial.data.tags[names.PATH].rpartition(" ")[2]: trial for trial in found["trial"]}
    assert {number: trial.info.status for number, trial in of_number.items()} == {
        str(trial.number): {"COMPLETE": "FINISHED", "FAIL": "FAILED"}[trial.state.name] for trial in trials
    }
    assert all(trial.data.tags["mlflow.parentRunId"] == study.info.run_id for trial in found["trial"])
    good = of_number["2"]
    assert good.info.run_name == f"value {trials[2].params['constant.value']:.3g} (trial 2)"
    assert good.data.metrics["information_maximisation"] == trials[2].value
    assert good.data.tags["state"] == "COMPLETE"
    assert "python -m sweeps replay small --trial 2" in good.data.tags["mlflow.note.content"]
    children = [each for each in found["run"] if each.data.tags["mlflow.parentRunId"] == good.info.run_id]
    assert sorted(each.data.params["seed"] for each in children) == ["0", "1"]
    # The same quantity stands in the same column for a trial and its seeds.
    for child in children:
        assert {name: value for name, value in child.data.params.items() if name != "seed"} == good.data.params
        assert child.info.status == "FINISHED"
        assert f"s{child.data.params['seed']} " in child.info.run_name
        assert good.data.metrics.keys() <= child.data.metrics.keys()
        points = read_points(folder_of(child.data.tags["hash"]))
        history = client.get_metric_history(child.info.run_id, "label_loss")
        assert [(m.step, m.value) for m in history] == [
            (p["step"], p["values"]["label_loss"]) for p in points if "label_loss" in p["values"]
        ]
    ruined = [each for each in found["run"] if each.data.tags["mlflow.parentRunId"] == of_number["3"].info.run_id]
    assert {each.info.status for each in ruined} == {"FAILED"}
    drawn = {file.path for file in client.list_artifacts(study.info.run_id, "figures")}
    assert drawn >= {f"figures/{name}.png" for name in ("history", "slices", "schedules")}

    again = work_off_sweep(sweep, open_pool=lambda: pytest.fail("went to work again"), console=Console())
    assert "all 4 trials of sweep small are already done" in capsys.readouterr().out
    assert (again.exit_code, sum(map(len, tree_of(client, sweep).values()))) == (0, sum(map(len, found.values())))


def test_a_finished_sweep_arrives_whole_in_a_new_store(client, runs, migrated_store, tmp_path, monkeypatch):
    import shutil

    from experiments.record.store import open_client

    sweep = small_sweep(trials=2, seeds=2)
    work_off_sweep(sweep, open_pool=Inline, console=Console(quiet=True))
    before = {kind: len(found) for kind, found in tree_of(client, sweep).items()}
    assert before == {"study": 1, "trial": 2, "run": 4}
    shutil.copy(migrated_store, tmp_path / "new.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'new.db'}")
    work_off_sweep(sweep, open_pool=Inline, console=Console(quiet=True))
    assert {kind: len(found) for kind, found in tree_of(open_client(), sweep).items()} == before


def test_the_state_of_a_trial_in_mlflow_is_the_true_one_and_follows_it(client, runs):
    recipe = dataclasses.replace(RECIPE, steps=50, evaluate_every=5)
    sweep = small_sweep(recipe=recipe, trials=12, seeds=1, pruner="median")
    study = Study(sweep)
    for _ in range(10):
        members = study.next()
        pretend(members[0], study.until(members))
        study.told(Ended(members))
    for rounds in ("interrupted", "done", "again"):
        if rounds == "done":
            drive(Study(sweep), Pretend())
        report_study(client, sweep, open_study(sweep.study_name), "FINISHED")
        trials = open_study(sweep.study_name).get_trials(deepcopy=False)
        found = tree_of(client, sweep)["trial"]
        assert len(found) == len(trials)
        for each in found:
            trial = trials[int(each.data.tags[names.PATH].rpartition(" ")[2])]
            state, status = {
                "COMPLETE": ("COMPLETE", "FINISHED"),
                "PRUNED": ("PRUNED", "KILLED"),
                "RUNNING": ("INTERRUPTED", "KILLED"),
            }[trial.state.name]
            assert (each.data.tags["state"], each.info.status) == (state, status)
            # A trial that was given up has no value that could be taken for one.
            assert ("information_maximisation" in each.data.metrics) == (state == "COMPLETE")
            assert (each.data.tags.get("message", "").startswith("pruned after step ")) == (state == "PRUNED")
    assert {trial.state.name for trial in trials} == {"COMPLETE", "PRUNED"}


SCRIPT = """
from rich.console import Console
from experiments.work.local import Local
from sweeps.work import work_off_sweep
from tests.support.small_sweeps import small_sweep
work_off_sweep(small_sweep(trials=3, seeds=2), open_pool=lambda: Local(2), console=Console())
"""


@pytest.mark.parametrize("after_s", [4.0, 7.0])
def test_a_sweep_killed_with_its_driver_ends_as_an_undisturbed_one(client, runs, after_s, tmp_path, monkeypatch):
    sweep = small_sweep(trials=3, seeds=2)
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.DEVNULL)
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.wait()
    work_off_sweep(sweep, open_pool=Inline, console=Console(quiet=True))
    found = tree_of(client, sweep)
    assert {kind: len(each) for kind, each in found.items()} == {"study": 1, "trial": 3, "run": 6}
    assert {each.info.status for kind in found.values() for each in kind} == {"FINISHED"}

    # Fewer than the ten trials that are random: nothing depends on the order in which they were told.
    hashes = {each.data.tags["hash"] for each in found["run"]}
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "undisturbed"))
    drive(Study(sweep))
    trials = open_study(sweep.study_name).get_trials(deepcopy=False)
    assert {run for trial in trials for run in trial.user_attrs["runs"]} == hashes
