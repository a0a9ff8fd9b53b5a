import dataclasses
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

from datasets import load_pair
from experiments.errors import BadInput
from experiments.experiment import Experiment
from experiments.identity import rebuild
from experiments.methods.svm import SVM
from experiments.networks import build_networks
from experiments.networks.mnist import MnistModern
from experiments.networks.raw import Raw
from experiments.recipes.base import with_method
from experiments.record import names
from experiments.record.files import claim, read_json
from experiments.record.folder import Recording, folder_of, list_runs, read_points
from experiments.training.machine import Machine
from experiments.work import pairs, run
from experiments.work.checkpoint import Checkpoint
from experiments.work.done import is_done
from experiments.work.run import digest, train_runs
from grl.schedules import Schedule
from tests.support.small_runs import ROUNDING, after, image_pair, small_moons

TIMES = {names.TRAIN_TIME_S, names.STEPS_PER_S}


def outcome_of(experiment: Experiment) -> tuple:
    """All that a run records, except times: numbers, digest, points, and what its evaluations saw."""
    folder = folder_of(experiment.hash)
    result = read_json(folder / names.RESULT)
    points = [(point["step"], point["values"]) for point in read_points(folder)]
    with np.load(folder / names.EVALUATIONS) as arrays:
        seen = {name: arrays[name].tobytes() for name in arrays.files}
    metrics = {name: value for name, value in result["metrics"].items() if name not in TIMES}
    return metrics, result["last"], result["weights_sha256"], points, seen


def status_of(experiment: Experiment) -> dict:
    return read_json(folder_of(experiment.hash) / names.STATUS)


def interrupt(patch, owner, name, *, step: int) -> None:
    """Press Ctrl-C inside the first call of a method or function that is made at `step` or later."""
    whole = getattr(owner, name)

    def call(*arguments, **named):
        steps = [each for each in arguments if isinstance(each, int)]
        steps += [each["step"] for each in arguments if isinstance(each, dict) and "step" in each]
        if not steps or steps[0] >= step:
            raise KeyboardInterrupt
        return whole(*arguments, **named)

    patch.setattr(owner, name, call)


@pytest.fixture
def uninterrupted(tmp_path, monkeypatch):
    """What runs record when nothing disturbs them, trained together."""

    def train_alone(*experiments: Experiment, machine: Machine = run.AUTOMATIC):
        with monkeypatch.context() as patch:
            patch.setenv("GRL_RUNS", str(tmp_path / f"undisturbed {experiments[0].hash} {machine.compile}"))
            train_runs(experiments, machine)
            outcomes = [outcome_of(experiment) for experiment in experiments]
        return outcomes if len(outcomes) > 1 else outcomes[0]

    return train_alone


def test_what_a_finished_run_leaves(runs):
    experiment = small_moons()
    assert train_runs([experiment]) == []
    folder = runs / experiment.hash
    left = {path.name for path in folder.iterdir()} - {"changes.patch"}  # there while the code is not committed
    assert left == {
        *("run.json", "status.json", "points.jsonl", "result.json"),
        *("curves.parquet", "evaluations.npz", "model.pt", "lock"),
    }
    assert status_of(experiment)["status"] == "FINISHED"

    result = read_json(folder / "result.json")
    last = read_points(folder)[-1]["values"]
    assert result["last"] == last
    assert {"source_accuracy", "target_accuracy", "information_maximisation"} <= last.keys()
    assert 0 <= result["metrics"]["proxy_a_distance"] <= 2
    assert result["metrics"]["steps_per_s"] == pytest.approx(30 / result["metrics"]["train_time_s"])

    description = read_json(folder / "run.json")
    assert description["params"] == experiment.flat()
    assert rebuild(description["experiment"]) == experiment
    tags = description["tags"]
    assert (tags["hash"], tags["kind"], tags["program"]) == (experiment.hash, "run", "together")
    assert (tags["pair_title"], tags["verdict"]) == ("Moons → Moons rotated by 35°", "reversed")
    assert {"git_commit", "git_dirty", "command", "hardware", "versions", "data_fingerprint"} <= tags.keys()


def test_curves_evaluations_and_weights_can_be_read_back(runs):
    experiment = small_moons()
    train_runs([experiment])
    folder = runs / experiment.hash
    curves = pd.read_parquet(folder / "curves.parquet")
    rows = [(p["step"], name, value) for p in read_points(folder) for name, value in p["values"].items()]
    assert list(curves.itertuples(index=False, name=None)) == rows
    with np.load(folder / "evaluations.npz") as arrays:
        assert arrays["steps"].tolist() == [10, 20, 30]
        assert arrays["features"].shape == (3, 1000, 32)
        assert arrays["domain_labels"].tolist() == [0] * 500 + [1] * 500
        assert arrays["target_logits"].shape == (3, 300, 2)
    networks = build_networks(experiment.network, experiment.method.heads, shape=(2,), classes=2, seed=9)
    networks.load_state_dict(torch.load(folder / "model.pt"))
    assert digest(networks.state_dict()) == read_json(folder / "result.json")["weights_sha256"]


def test_a_finished_run_is_not_trained_again(runs, monkeypatch):
    train_runs([small_moons()])
    monkeypatch.setattr(run, "train", lambda *arguments, **keywords: pytest.fail("trained again"))
    assert train_runs([small_moons()]) == []


@pytest.mark.parametrize("steps", [0, 7, 10, 29])
def test_a_run_told_to_stop_writes_a_checkpoint_at_that_very_step(runs, uninterrupted, steps):
    experiment = small_moons()
    with pytest.raises(KeyboardInterrupt):
        train_runs([experiment], must_stop=after(steps))
    assert not is_done(experiment)
    assert status_of(experiment)["status"] == "KILLED"
    assert Checkpoint(folder_of(experiment.hash)).load()["step"] == steps
    train_runs([experiment])
    assert outcome_of(experiment) == uninterrupted(experiment)


@pytest.mark.parametrize(
    ("owner", "name", "step", "goes_on_at"),
    [
        (Recording, "log", 5, 0),
        (Checkpoint, "save", 10, 0),
        (Recording, "log", 25, 20),
        (Recording, "log", 30, 20),
        (run, "proxy_a_distance", 30, 30),
        (run, "write_curves", 30, 30),
        (Recording, "finish", 30, 30),
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_bits(runs, uninterrupted, monkeypatch, owner, name, step, goes_on_at):
    experiment = small_moons()
    with monkeypatch.context() as patch:
        interrupt(patch, owner, name, step=step)
        with pytest.raises(KeyboardInterrupt):
            train_runs([experiment])
    assert status_of(experiment)["status"] == "KILLED"
    assert not is_done(experiment)
    state = Checkpoint(folder_of(experiment.hash)).load()
    assert (state["step"] if state else 0) == goes_on_at
    train_runs([experiment])
    assert outcome_of(experiment) == uninterrupted(experiment)


@pytest.mark.parametrize("method", ["source_only", "target_only", "dann"])
def test_resume_with_dropout_and_batch_norm(runs, uninterrupted, monkeypatch, method):
    monkeypatch.setattr(run, "open_pair", lambda *_: image_pair())
    monkeypatch.setattr(pairs, "fingerprint_of", lambda name: image_pair().fingerprint)
    recipe = Experiment(pair="images", network=MnistModern(), steps=6, batch_size=8, evaluate_every=2, log_every=1)
    experiment = with_method(recipe, method)
    with pytest.raises(KeyboardInterrupt):
        train_runs([experiment], must_stop=after(5))
    torch.manual_seed(123)
    train_runs([experiment])
    assert outcome_of(experiment) == uninterrupted(experiment)


def test_a_crash_between_result_and_status_is_finished_by_the_next_call(runs, uninterrupted, monkeypatch):
    mark = Recording.mark

    def die(self, status, message=""):
        if status == "FINISHED":
            raise SystemExit  # as if killed here: nothing in the program handles it
        mark(self, status, message)

    experiment = small_moons()
    with monkeypatch.context() as patch:
        patch.setattr(Recording, "mark", die)
        with pytest.raises(SystemExit):
            train_runs([experiment])
    assert (runs / experiment.hash / "result.json").exists()
    assert not is_done(experiment)
    train_runs([experiment])
    assert is_done(experiment)
    assert outcome_of(experiment) == uninterrupted(experiment)


CHILD = """
from experiments.work import checkpoint
from experiments.work.run import train_runs
from tests.support.small_runs import small_moons
checkpoint.EVERY_S = checkpoint.COST_SHARE = 0.0
train_runs([small_moons(steps=600, evaluate_every=20, log_every=10, seed=seed) for seed in (0, 1)])
"""


def test_kill_9_at_random_moments_changes_no_bit(runs, uninterrupted):
    experiments = [small_moons(steps=600, evaluate_every=20, log_every=10, seed=seed) for seed in (0, 1)]
    folder = runs / experiments[0].hash
    moments = random.Random()  # truly at random: every moment must do
    killed_at = []
    for _ in range(2):
        before = (folder / "status.json").stat().st_mtime_ns if folder.exists() else 0
        with subprocess.Popen([sys.executable, "-c", CHILD], cwd=names.ROOT) as child:
            while child.poll() is None:
                if (folder / "checkpoint.pt").exists() and (folder / "status.json").stat().st_mtime_ns != before:
                    break
                time.sleep(0.005)
            time.sleep(moments.uniform(0, 0.2))
            child.kill()
        assert child.returncode == -signal.SIGKILL, f"ended before the kill: {child.returncode}"
        killed_at.append(read_json(folder / "status.json")["points"])
        assert status_of(experiments[0])["status"] == "RUNNING"
    assert killed_at == sorted(killed_at)
    assert killed_at[-1] > 0
    train_runs(experiments)
    assert [outcome_of(experiment) for experiment in experiments] == uninterrupted(*experiments)


@dataclass(frozen=True)
class Explodes(Schedule):
    """A schedule that is harmless up to a step and ruinous from there on."""

    at: int = 22

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        return 0.1 if step is None or step < self.at else 1e30


def test_a_diverged_run_is_failed_and_keeps_its_points(runs):
    experiment = small_moons(alpha=Explodes(), log_every=1)
    folder = runs / experiment.hash
    for _ in range(2):  # a second try goes on from the checkpoint and fails where the first one did
        train_runs([experiment])
        status = status_of(experiment)
        assert status["status"] == "FAILED"
        assert "at step 24" in status["message"]
        assert "alpha 1e+30, pair moons; the last good checkpoint is" in status["message"]
        assert status["message"].endswith("checkpoint.pt")
        assert Checkpoint(folder).load()["step"] == 20
        assert [point["step"] for point in read_points(folder)][-3:] == [21, 22, 23]
        assert not is_done(experiment)


def test_a_run_that_diverges_leaves_its_company_alone(runs, uninterrupted):
    wild, good = small_moons(alpha=Explodes()), small_moons(seed=1)
    train_runs([wild, good])
    assert status_of(wild)["status"] == "FAILED"
    assert outcome_of(good) == uninterrupted(good)


def test_a_bug_is_a_failed_run_and_keeps_its_traceback(runs, monkeypatch):
    def break_down(*arguments, **keywords):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(run, "train", break_down)
    with pytest.raises(ZeroDivisionError):
        train_runs([small_moons()])
    status = status_of(small_moons())
    assert (status["status"], status["message"]) == ("FAILED", "ZeroDivisionError: by zero")


def test_a_bundle_with_a_member_in_use_trains_the_others(runs, uninterrupted):
    busy, free = small_moons(), small_moons(seed=1)
    with claim(folder_of(busy.hash)):
        assert train_runs([busy, free]) == [busy]
    assert not is_done(busy)
    assert outcome_of(free) == uninterrupted(free)
    assert train_runs([busy, free]) == []
    assert outcome_of(busy) == uninterrupted(busy)


def test_a_bundle_with_a_member_whose_checkpoint_cannot_be_used_says_so_and_records_nothing(runs):
    good, bad = small_moons(seed=1), small_moons()
    with pytest.raises(KeyboardInterrupt):
        train_runs([bad], must_stop=after(10))
    path = folder_of(bad.hash) / "checkpoint.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    with pytest.raises(BadInput, match="delete it to start this run anew"):
        train_runs([good, bad])
    assert not (folder_of(good.hash) / "run.json").exists()
    path.write_bytes(whole)
    train_runs([good, bad])
    assert is_done(bad)
    assert is_done(good)


def test_members_at_different_steps_end_as_if_each_had_been_alone(runs, uninterrupted):
    experiments = [small_moons(seed=seed) for seed in range(4)]
    for experiment, steps in zip(experiments, (7, 10, 10), strict=False):
        with pytest.raises(KeyboardInterrupt):
            train_runs([experiment], must_stop=after(steps))
    train_runs(experiments)
    for experiment in experiments:
        assert outcome_of(experiment) == uninterrupted(experiment)


PLAIN, COMPILED = Machine(), Machine(compile="inductor")


@pytest.mark.parametrize(("first", "then"), [(PLAIN, COMPILED), (COMPILED, PLAIN)], ids=["to alone", "to together"])
def test_a_run_goes_on_in_another_program_than_it_was_begun_in(runs, uninterrupted, monkeypatch, first, then):
    monkeypatch.setattr(Machine, "compiled", lambda self, function: function)  # what matters is that it runs alone
    expected = uninterrupted(small_moons())
    experiment = small_moons()
    with pytest.raises(KeyboardInterrupt):
        train_runs([experiment], first, after(13))
    train_runs([experiment], then)
    _, last, _, points, _ = outcome_of(experiment)
    assert last["target_accuracy"] == pytest.approx(expected[1]["target_accuracy"], abs=0.01)
    assert [step for step, _ in points] == [step for step, _ in expected[3]]
    for (_, values), (_, others) in zip(points, expected[3], strict=True):
        assert values.get("label_loss", 0) == pytest.approx(others.get("label_loss", 0), abs=ROUNDING)
    tags = read_json(folder_of(experiment.hash) / "run.json")["tags"]
    assert [tags["program"], tags["resumed_program"]] == [
        "together" if machine is PLAIN else "alone" for machine in (first, then)
    ]


def test_a_fit_takes_one_step(runs):
    experiment = small_moons(method=SVM(), network=Raw())
    train_runs([experiment])
    metrics = read_json(folder_of(experiment.hash) / "result.json")["metrics"]
    assert metrics[names.STEPS_PER_S] == pytest.approx(1 / metrics[names.TRAIN_TIME_S])


def test_two_processes_on_one_run(runs):
    experiment = small_moons()
    with claim(folder_of(experiment.hash)):
        assert train_runs([experiment]) == [experiment]
        assert not (runs / experiment.hash / "run.json").exists()
    assert train_runs([experiment]) == []


def test_a_stale_run_is_trained_again_and_the_old_one_stays_readable(runs, monkeypatch):
    experiment = small_moons()
    train_runs([experiment])
    begun = read_json(runs / experiment.hash / "run.json")["started_ms"]
    monkeypatch.setattr(pairs, "fingerprint_of", lambda name: "f" * 64)
    pair = dataclasses.replace(load_pair("moons"), fingerprint="f" * 64)
    monkeypatch.setattr(run, "open_pair", lambda *_: pair)
    assert not is_done(experiment)
    assert pairs.find_change(experiment) == "the data of moons have changed"
    train_runs([experiment])
    assert is_done(experiment)
    old = runs / f"{experiment.hash}-{begun}"
    assert list_runs() == sorted([runs / experiment.hash, old])
    assert read_json(old / "status.json")["status"] == "FINISHED"
    assert read_json(old / "run.json")["tags"]["data_fingerprint"] != "f" * 64
    assert read_json(runs / experiment.hash / "run.json")["tags"]["data_fingerprint"] == "f" * 64


def test_no_record_holds_a_target_training_label(runs):
    """The names of all that a DANN run records; a new one must be added here on purpose.

    The oracle's accuracy is the only number that target training labels decide.
    """
    experiment = small_moons()
    train_runs([experiment])
    recorded = {name for point in read_points(folder_of(experiment.hash)) for name in point["values"]}
    assert recorded == {
        *("alpha", "lr", "label_loss", "domain_loss", "domain_accuracy"),
        *("source_accuracy", "source_validation_accuracy", "target_accuracy"),
        *("negative_entropy", "information_maximisation", "nuclear_norm"),
        *("soft_neighbourhood_density", "class_correlation", "class_ami", "importance_weighting", "dev", "devn"),
        *("mixval", "transfer_score", "target_validation_accuracy", "target_rest_accuracy"),
    }
