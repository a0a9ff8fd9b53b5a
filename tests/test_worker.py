import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest
from rich.console import Console

from experiments import record
from experiments.bundles import bundle
from experiments.errors import BadInput, WorkerDied
from experiments.recording import claim, folder_of, read_json, read_points
from experiments.running import run, run_together
from experiments.worker import Outcome, run_workers, work_off
from grl.schedules import InverseDecay
from tests.small_runs import small_moons
from tests.small_workers import die, disagree


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome(trained=3), 0),
        (Outcome(skipped=3), 0),
        (Outcome(trained=2, failed=["diverged"]), 1),
        (Outcome(in_use=["dann moons"]), 1),
        (Outcome(undelivered="no store"), 1),
        (Outcome(failed=["diverged"], interrupted=True), 130),
    ],
)
def test_exit_codes(outcome, code):
    assert outcome.exit_code == code


def test_a_list_with_good_done_diverging_and_claimed_runs(client, runs, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    good, done, wild, claimed = (small_moons(seed=seed) for seed in range(4))
    wild = dataclasses.replace(wild, lr=InverseDecay(lr=1e30))
    also_good = small_moons(method="source_only")
    run(done)
    trained_first = read_json(folder_of(done) / "status.json")["time_ms"]
    with claim(folder_of(claimed)):
        outcome = work_off([wild, good, done, claimed, also_good], "toy", workers=2, console=Console())
    said = capsys.readouterr().out
    assert (outcome.trained, outcome.skipped, outcome.undelivered, outcome.interrupted) == (2, 1, "", False)
    assert outcome.in_use == [claimed.title]
    [failure] = outcome.failed
    assert failure.startswith(f"{wild.title}: ")
    assert "at step 5, lr 5.297e+29, alpha 0.5828, pair moons; before the first checkpoint" in failure
    assert "1 of 5 runs are already done and are not trained again" in said
    assert f"{good.title}: target accuracy" in said
    assert read_json(folder_of(done) / "status.json")["time_ms"] == trained_first

    experiment_id = client.get_experiment_by_name("toy").experiment_id
    found = {each.data.tags["hash"]: each for each in client.search_runs([experiment_id])}
    assert {name: each.info.status for name, each in found.items()} == {
        good.hash: "FINISHED",
        done.hash: "FINISHED",
        also_good.hash: "FINISHED",
        wild.hash: "FAILED",
    }
    for experiment in (good, done, also_good):
        history = client.get_metric_history(found[experiment.hash].info.run_id, "label_loss")
        assert [(m.step, m.value) for m in history] == [
            (p["step"], p["values"]["label_loss"])
            for p in read_points(folder_of(experiment))
            if "label_loss" in p["values"]
        ]

    # The same bits in a worker process as in this one.
    digest = read_json(folder_of(good) / "result.json")["weights_sha256"]
    monkeypatch.setenv("GRL_RUNS", str(runs / "elsewhere"))
    run_together(bundle([good])[0])
    assert read_json(folder_of(good) / "result.json")["weights_sha256"] == digest


def test_what_one_worker_cannot_use_ends_the_others():
    started = time.monotonic()
    with pytest.raises(BadInput, match=r"^steps must be >= 1, got -5$"):
        run_workers(disagree, (), 2, lambda event: None)
    assert time.monotonic() - started < 120  # not the 300 s of its neighbour


def test_a_worker_that_dies_is_said_and_what_it_sent_is_kept():
    seen = []
    with pytest.raises(WorkerDied, match="ended with exit code 3; finished runs are kept, the same command goes on"):
        run_workers(die, (), 1, seen.append)
    assert seen == ["last words"]


LONG = ("--steps", "200000", "--evaluate-every", "100", "--log-every", "100", "--workers", "1")

ORPHANS = """
from experiments.bundles import plain
from experiments.worker import run_workers
from tests.small_runs import small_moons
from tests.small_workers import train_one
long = plain(small_moons(steps=200000, evaluate_every=100, log_every=100))
run_workers(train_one, (long,), 1, lambda event: None)
"""


@pytest.fixture
def begin(runs):
    """Starts Python in a process group of its own and waits for the first checkpoint of its run."""
    started = []

    def start(*arguments) -> tuple[subprocess.Popen, Path]:
        # A suite that runs in the background ignores Ctrl-C, and so would what it starts.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=record.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        signal.signal(signal.SIGINT, before)
        started.append(process)
        while not any(runs.glob("**/checkpoint.pt")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        [description] = runs.glob("*/run.json")
        return process, description.parent

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_ctrl_c_ends_cleanly_and_marks_the_run_as_killed(begin, client):
    process, folder = begin("-m", "experiments", "run", "moons", *LONG)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and workers at once
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopping: the same command goes on from the last checkpoints" in stdout
    assert stderr == ""
    status = read_json(folder / "status.json")
    assert status["status"] == "KILLED"
    assert status["points"] >= 2
    [found] = client.search_runs([client.get_experiment_by_name("moons").experiment_id])
    assert found.info.status == "KILLED"


def test_workers_end_with_a_parent_that_was_killed(begin):
    process, folder = begin("-c", ORPHANS)
    process.kill()
    process.wait()
    with filelock.FileLock(folder / "lock", timeout=60):  # the worker holds it while it lives
        assert read_json(folder / "status.json")["status"] == "KILLED"
