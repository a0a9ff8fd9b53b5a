"""Small runs and pairs for the tests of experiments and sweeps."""

import dataclasses
import itertools
import math
import shutil

import pytest
import torch

from datasets import DomainPair, Evaluation, Labelled, Unlabelled
from experiments.experiment import Experiment
from experiments.networks.moons import Moons
from experiments.recipes.base import with_method
from experiments.record.store import open_client
from grl.schedules import InverseDecay

# What 30 steps of small_moons may differ by when sums are taken in another order: each step adds the rounding of a sum
# over the batch, which grows as the root of its length. Momentum 0.9 multiplies by 10, the learning rate by 0.1.
ROUNDING = 30 * math.sqrt(128) * torch.finfo(torch.float32).eps  # 4e-5


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The root of recorded runs: everything that a run or a sweep writes goes below `tmp_path`."""
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    save_always(monkeypatch)
    return tmp_path / "runs"


def save_always(patch: pytest.MonkeyPatch) -> None:
    """Have a checkpoint written at every evaluation, however young the last one is."""
    patch.setattr("experiments.work.checkpoint.EVERY_S", 0.0)
    patch.setattr("experiments.work.checkpoint.COST_SHARE", 0.0)


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory):
    """An MLflow store without runs, to be copied: creating the tables takes seconds."""
    path = tmp_path_factory.mktemp("migrated") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        open_client()
    return path


@pytest.fixture
def client(runs, migrated_store):
    """A client of a store of its own, at its default place beside the runs."""
    runs.mkdir()
    shutil.copy(migrated_store, runs / "mlflow.db")
    return open_client()


def small_moons(**changes) -> Experiment:
    """Thirty steps of moons: points every 5 steps, a checkpoint every 10. Free of the catalogue's constants.

    Args:
        changes: Fields of the experiment; `method` by name, and `alpha` of the method.
    """
    small = Experiment(
        pair="moons", network=Moons(), lr=InverseDecay(lr=0.1), steps=30, batch_size=128, evaluate_every=10, log_every=5
    )
    if isinstance(method := changes.get("method"), str):
        changes["method"] = with_method(small, method).method
    if "alpha" in changes:
        changes["method"] = dataclasses.replace(changes.get("method", small.method), alpha=changes.pop("alpha"))
    return dataclasses.replace(small, **changes)


def after(steps: int):
    """A `must_stop` that asks a training to stop after so many steps, where checkpoints are due at every evaluation."""
    asked = itertools.count()
    return lambda: next(asked) >= steps


def image_pair(count: int = 48, seed: int = 0) -> DomainPair:
    """Random images in three classes; the target's are darker."""
    random = torch.Generator().manual_seed(seed)

    def draw(name: str, most: int) -> Labelled:
        inputs = torch.randint(0, most, (count, 28, 28, 3), dtype=torch.uint8, generator=random)
        return Labelled(name=name, inputs=inputs, labels=torch.arange(count) % 3)

    source, target = draw("source train", 256), draw("target train", 128)
    return DomainPair(
        id="images",
        title="Images → Darker images",
        source_name="Images",
        target_name="Darker images",
        class_names=("a", "b", "c"),
        shape=(28, 28, 3),
        protocol="inductive",
        conversions=(),
        fingerprint="0" * 64,
        source=source,
        target=Unlabelled(name=target.name, inputs=target.inputs),
        evaluation=Evaluation(source_test=draw("source test", 256), target_test=draw("target test", 128)),
        _open_target=lambda: target,
    )
