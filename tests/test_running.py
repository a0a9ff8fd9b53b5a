import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch

from experiments import record, running
from experiments.errors import BadInput, NonFiniteLoss, RunInUse
from experiments.experiment import Experiment
from experiments.recording import Recording, claim, folder_of, is_done, read_json, read_points
from experiments.running import run
from tests.small_runs import image_pair, small_moons

TIMES = {record.TRAIN_TIME_S, record.STEPS_PER_S}


def outcome_of(experiment: Experiment) -> tuple:
    """All that a run records, except times: numbers, digest, points."""
    folder = folder_of(experiment)
    result = read_json(folder / record.RESULT)
    points = [(point["step"], point["values"]) for point in read_points(folder)]
    return {n: v for n, v in result["metrics"].items() if n not in TIMES}, result["weights_sha256"], points


def status_of(experiment: Experiment) -> str:
    return read_json(folder_of(experiment) / record.STATUS)["status"]


def interrupt_at(wanted: str, at: int):
    """A report that presses Ctrl-C when `wanted` happens at step `at`."""

    def report(event):
        if (event.name, event.step) == (wanted, at):
            raise KeyboardInterrupt

    return report


@pytest.fixture
def uninterrupted(tmp_path, monkeypatch):
    """What a run records when nothing disturbs it."""

    def train_alone(experiment: Experiment) -> tuple:
        with monkeypatch.context() as patch:
            patch.setenv("GRL_RUNS", str(tmp_path / "undisturbed"))
            run(experiment)
            return outcome_of(experiment)

    return train_alone


def test_what_a_finished_run_leaves(runs):
    experiment = small_moons()
    events = []
    result = run(experiment, lambda event: events.append((event.name, event.step)))
    folder = runs / experiment.hash
    assert result == read_json(folder / "result.json")
    names = {path.name for path in folder.iterdir()} - {"changes.patch"}  # there while the code is not committed
    assert names == {
        *("run.json", "status.json", "points.jsonl", "result.json"),
        *("curves.parquet", "features.npz", "model.pt", "lock"),
    }
    assert events[0] == ("started", 0)
    assert [step for event, step in events if event == "saved"] == [10, 20]
    assert [step for event, step in events if event == "logged"] == [5, 10, 10, 15, 20, 20, 25, 30, 30]
    assert read_json(folder / "status.json")["status"] == "FINISHED"

    metrics = result["metrics"]
    assert metrics["selected_step"] == 30
    assert metrics["selected_target_accuracy"] == read_points(folder)[-1]["values"]["target_accuracy"]
    assert 0 <= metrics["proxy_a_distance"] <= 2
    assert metrics["steps_per_s"] == pytest.approx(30 / metrics["train_time_s"])

    description = read_json(folder / "run.json")
    assert description["params"] == experiment.flat()
    tags = description["tags"]
    assert (tags["hash"], tags["selection"], tags["kind"]) == (experiment.hash, "last", "run")
    assert (tags["pair_title"], tags["verdict"]) == ("Moons → Moons rotated by 35°", "reversed")
    assert {"git_commit", "git_dirty", "command", "hardware", "versions", "data_fingerprint"} <= tags.keys()


def test_curves_features_and_weights_can_be_read_back(runs):
    experiment = small_moons()
    result = run(experiment)
    folder = runs / experiment.hash
    curves = pd.read_parquet(folder / "curves.parquet")
    rows = [(p["step"], name, value) for p in read_points(folder) for name, value in p["values"].items()]
    assert list(curves.itertuples(index=False, name=None)) == rows
    with np.load(folder / "features.npz") as features:
        assert features["features"].shape == (1000, 32)
        assert features["domain_labels"].tolist() == [0] * 500 + [1] * 500
    from experiments.networks import build_networks

    networks = build_networks("moons", classes=2, seed=9)
    networks.load_state_dict(torch.load(folder / "model.pt"))
    assert running.digest(networks) == result["weights_sha256"]


def test_a_finished_run_is_not_trained_again(runs, monkeypatch):
    first = run(small_moons())
    monkeypatch.setattr(running, "train", lambda *arguments, **keywords: pytest.fail("trained again"))
    assert run(small_moons()) == first


@pytest.mark.parametrize(
    ("event", "step"), [("started", 0), ("logged", 5), ("saved", 10), ("logged", 25), ("saved", 20), ("logged", 30)]
)
def test_an_interrupted_run_goes_on_to_the_same_bits(runs, uninterrupted, event, step):
    experiment = small_moons()
    expected = uninterrupted(experiment)
    with pytest.raises(KeyboardInterrupt):
        run(experiment, interrupt_at(event, step))
    assert not is_done(experiment)
    assert status_of(experiment) == "KILLED" or event == "started"
    starts = []
    run(experiment, lambda event: starts.append(event.step) if event.name == "started" else None)
    assert starts == [step // 10 * 10 if (event, step) != ("logged", 30) else 20]
    assert outcome_of(experiment) == expected


@pytest.mark.parametrize("method", ["source_only", "target_only", "dann"])
def test_resume_with_dropout_and_batch_norm(runs, uninterrupted, monkeypatch, method):
    monkeypatch.setattr(running, "load_pair", lambda name: image_pair())
    recipe = Experiment(pair="images", network="mnist_modern", steps=6, batch_size=8, evaluate_every=2, log_every=1)
    experiment = recipe.with_method(method)
    expected = uninterrupted(experiment)
    with pytest.raises(KeyboardInterrupt):
        run(experiment, interrupt_at("logged", 5))
    torch.manual_seed(123)
    run(experiment)
    assert outcome_of(experiment) == expected


@pytest.mark.parametrize("where", ["sample_features", "select"])
def test_ctrl_c_after_the_last_step(runs, uninterrupted, monkeypatch, where):
    def interrupt(*arguments, **keywords):
        raise KeyboardInterrupt

    experiment = small_moons()
    expected = uninterrupted(experiment)
    with monkeypatch.context() as patch:
        patch.setattr(running, where, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(experiment)
    assert status_of(experiment) == "KILLED"
    run(experiment)
    assert outcome_of(experiment) == expected


def test_a_crash_between_result_and_status_is_finished_by_the_next_call(
    runs,
    uninterrupted,
    monkeypatch,
):
    mark = Recording.mark

    def die(self, status, message=""):
        if status == "FINISHED":
            raise SystemExit  # as if killed here: nothing of `run` handles it
        mark(self, status, message)

    experiment = small_moons()
    expected = uninterrupted(experiment)
    with monkeypatch.context() as patch:
        patch.setattr(Recording, "mark", die)
        with pytest.raises(SystemExit):
            run(experiment)
    assert (runs / experiment.hash / "result.json").exists()
    assert not is_done(experiment)
    run(experiment)
    assert is_done(experiment)
    assert status_of(experiment) == "FINISHED"
    assert outcome_of(experiment) == expected


CHILD = """
from experiments import running
from tests.small_runs import small_moons
running.CHECKPOINT_EVERY_S = 0.0
running.run(small_moons(steps=600, evaluate_every=20, log_every=10))
"""


def test_kill_9_at_random_moments_changes_no_bit(runs, uninterrupted):
    experiment = small_moons(steps=600, evaluate_every=20, log_every=10)
    expected = uninterrupted(experiment)
    folder = runs / experiment.hash
    moments = random.Random()  # truly at random: every moment must do
    killed_at = []
    for _ in range(2):
        before = (folder / "status.json").stat().st_mtime_ns if folder.exists() else 0
        with subprocess.Popen([sys.executable, "-c", CHILD], cwd=record.ROOT) as child:
            while child.poll() is None:
                if (folder / "checkpoint.pt").exists() and (folder / "status.json").stat().st_mtime_ns != before:
                    break
                time.sleep(0.005)
            time.sleep(moments.uniform(0, 0.2))
            child.kill()
        assert child.returncode == -signal.SIGKILL, f"ended before the kill: {child.returncode}"
        killed_at.append(read_json(folder / "status.json")["points"])
        assert status_of(experiment) == "RUNNING"
    assert killed_at == sorted(killed_at)
    assert killed_at[-1] > 0
    run(experiment)
    assert outcome_of(experiment) == expected


@dataclass(frozen=True)
class Explodes:
    """A schedule that is harmless up to a step and ruinous from there on."""

    at: int = 22

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        return 0.1 if step is None or step < self.at else 1e30


def test_a_diverged_run_is_failed_and_keeps_its_points(runs):
    experiment = small_moons(alpha=Explodes(), log_every=1)
    for first_step in (0, 20):  # a second try goes on from the checkpoint and fails where the first one did
        events = []
        with pytest.raises(NonFiniteLoss) as caught:
            run(experiment, lambda event, log=events: log.append((event.name, event.step)))
        assert events[0] == ("started", first_step)
        message = str(caught.value)
        assert "at step 24" in message
        assert "alpha 1e+30, pair moons; the last good checkpoint is" in message
        assert message.endswith("checkpoint.pt")
        status = read_json(runs / experiment.hash / "status.json")
        assert (status["status"], status["message"]) == ("FAILED", message)
        assert [p["step"] for p in read_points(runs / experiment.hash)][-3:] == [21, 22, 23]
        assert not is_done(experiment)


def test_a_program_error_is_a_failed_run_too(runs, monkeypatch):
    def break_down(*arguments, **keywords):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(running, "train", break_down)
    with pytest.raises(ZeroDivisionError):
        run(small_moons())
    status = read_json(runs / small_moons().hash / "status.json")
    assert (status["status"], status["message"]) == ("FAILED", "ZeroDivisionError: by zero")


def test_two_processes_on_one_run(runs):
    experiment = small_moons()
    with claim(folder_of(experiment)), pytest.raises(RunInUse, match=experiment.hash):
        run(experiment)
    run(experiment)


def test_a_truncated_checkpoint_stops_the_run_with_its_remedy(runs, uninterrupted):
    experiment = small_moons()
    with pytest.raises(KeyboardInterrupt):
        run(experiment, interrupt_at("saved", 10))
    checkpoint = runs / experiment.hash / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(BadInput, match="delete it to start this run anew"):
        run(experiment)
    checkpoint.unlink()
    run(experiment)
    assert outcome_of(experiment) == uninterrupted(experiment)


def test_selection_changes_what_is_reported_and_not_what_is_trained(runs):
    last, oracle = (small_moons(selection=selection) for selection in ("last", "target_oracle"))
    first, second = run(last), run(oracle)
    assert first["weights_sha256"] == second["weights_sha256"]
    reached = [
        p["values"]["target_accuracy"] for p in read_points(folder_of(oracle)) if "target_accuracy" in p["values"]
    ]
    assert second["metrics"]["selected_target_accuracy"] == max(reached)


def test_no_record_holds_a_target_training_label(runs):
    """The names of all that a DANN run records; a new one must be added here on purpose."""
    experiment = small_moons()
    run(experiment)
    names = {name for point in read_points(folder_of(experiment)) for name in point["values"]}
    assert names == {
        *("alpha", "lr", "label_loss", "domain_loss", "domain_accuracy"),
        *("source_accuracy", "target_accuracy", "information_maximisation"),
    }
