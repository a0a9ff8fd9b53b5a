"""Small trainings and pairs for the tests of experiments; nothing is recorded."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from datasets import DomainPair, Evaluation, Labelled, Unlabelled, load_pair
from experiments.errors import NonFiniteLoss
from experiments.experiment import Experiment
from experiments.methods import METHODS
from experiments.methods.fitted import Fitted
from experiments.networks import Networks
from experiments.networks.mnist import MnistModern
from experiments.networks.moons import Moons
from experiments.training import evaluation
from experiments.training.alone import Alone
from experiments.training.loop import Program, Watch, train
from experiments.training.machine import Machine
from experiments.training.together import Together
from grl.doctor import Verdict
from grl.schedules import InverseDecay

# What 30 steps of small_moons may differ by when sums are taken in another order: each step adds the rounding of a sum
# over the batch, which grows as the root of its length. Momentum 0.9 multiplies by 10, the learning rate by 0.1.
ROUNDING = 30 * math.sqrt(128) * torch.finfo(torch.float32).eps  # 4e-5

CPU = Machine(device="cpu")
BY_STEPS = {name: method for name, method in METHODS.items() if not issubclass(method, Fitted)}


@pytest.fixture(scope="session")
def moons_pair(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRL_PREPARED", str(tmp_path_factory.mktemp("prepared")))
        return load_pair("moons")


def small_moons(**changes) -> Experiment:
    """Thirty steps of moons: points every 5 steps, an evaluation every 10. Free of the catalogue's constants."""
    small = Experiment(
        pair="moons", network=Moons(), lr=InverseDecay(lr=0.1), steps=30, batch_size=128, evaluate_every=10, log_every=5
    )
    return _with(small, changes)


def on_images(**changes) -> Experiment:
    """Four steps on images, with BatchNorm and Dropout2d in the network."""
    small = Experiment(pair="images", network=MnistModern(), steps=4, batch_size=8, evaluate_every=2, log_every=1)
    return _with(small, changes)


def _with(recipe: Experiment, changes: dict[str, Any]) -> Experiment:
    method = changes.pop("method", "dann")
    own = {"alpha", "domain_weight", "batch_norm"} & changes.keys()
    if isinstance(method, str):
        method = METHODS[method](**{name: changes.pop(name) for name in own})
    return dataclasses.replace(recipe, method=method, **changes)


class Notes(Watch):
    """Remembers everything that it is told."""

    def __init__(self, stop_at: int | None = None):
        self.points: list[tuple[int, dict[int, dict[str, float]]]] = []  # curves and scores, as they come
        self.evaluations: list[tuple[int, dict[int, evaluation.Evaluation]]] = []
        self.states: dict[int, list[dict[str, Any]]] = {}  # by step, of each member
        self.verdicts: list[tuple[int, Verdict]] = []
        self.failures: list[tuple[int, str]] = []
        self.members, self.asked, self.stop_at = 1, 0, stop_at

    def diagnosed(self, member: int, verdict: Verdict) -> None:
        self.verdicts.append((member, verdict))

    def logged(self, step: int, values: dict[int, dict[str, float]]) -> None:
        self.points.append((step, values))

    def evaluated(self, step: int, evaluations: dict[int, evaluation.Evaluation]) -> None:
        self.points.append((step, {member: each.scores for member, each in evaluations.items()}))
        self.evaluations.append((step, evaluations))

    def reached(self, step: int, state: Callable[[int], dict[str, Any]]) -> None:
        self.states[step] = [state(member) for member in range(self.members)]

    def failed(self, member: int, error: NonFiniteLoss) -> None:
        self.failures.append((member, str(error)))

    def must_stop(self) -> bool:
        self.asked += 1
        return self.stop_at is not None and self.asked > self.stop_at


class Trained:
    """What a program has come to."""

    def __init__(self, program: Program, states: Sequence[dict[str, Any]] | None = None, stop_at: int | None = None):
        self.program, self.notes = program, Notes(stop_at)
        self.notes.members = len(program.experiments)
        train(program, self.notes, states)

    @property
    def states(self) -> dict[int, list[dict[str, Any]]]:
        """By step: what each member can go on from."""
        return self.notes.states

    def points(self, member: int = 0) -> list[tuple[int, dict[str, float]]]:
        """Curves and scores of one member."""
        return [(step, values[member]) for step, values in self.notes.points if member in values]

    def networks(self, member: int = 0) -> Networks:
        return self.program.member(member)

    def digest(self, member: int = 0) -> str:
        return digest(self.networks(member))


def train_alone(experiment: Experiment, pair: DomainPair, machine: Machine = CPU, **how: Any) -> Trained:
    return Trained(Alone(experiment, pair, machine), **how)


def train_together(experiments: Sequence[Experiment], pair: DomainPair, **how: Any) -> Trained:
    return Trained(Together(experiments, pair, CPU), **how)


def digest(networks: Networks) -> str:
    """Equal digests mean bit-identical networks."""
    sha = hashlib.sha256()
    for name, value in networks.state_dict().items():
        sha.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def image_pair(count: int = 48, seed: int = 0, shape: tuple[int, int, int] = (28, 28, 3)) -> DomainPair:
    """Random images in three classes; the target's are darker."""
    random = torch.Generator().manual_seed(seed)

    def draw(name: str, most: int) -> Labelled:
        inputs = torch.randint(0, most, (count, *shape), dtype=torch.uint8, generator=random)
        return Labelled(name=name, inputs=inputs, labels=torch.arange(count) % 3)

    return _pair_of("images", shape, draw)


def feature_pair(dimensions: int, count: int = 48, seed: int = 0) -> DomainPair:
    """Normal random features in three classes; the target's are shifted."""
    random = torch.Generator().manual_seed(seed)

    def draw(name: str, most: int) -> Labelled:
        inputs = torch.randn(count, dimensions, generator=random) + most / 256
        return Labelled(name=name, inputs=inputs, labels=torch.arange(count) % 3)

    return _pair_of("features", (dimensions,), draw)


def _pair_of(name: str, shape: tuple[int, ...], draw: Callable[[str, int], Labelled]) -> DomainPair:
    source, target = draw("source train", 256), draw("target train", 128)
    return DomainPair(
        id=name,
        title=f"{name.title()} → Darker {name}",
        source_name=name.title(),
        target_name=f"Darker {name}",
        class_names=("a", "b", "c"),
        shape=shape,
        protocol="inductive",
        conversions=(),
        fingerprint="0" * 64,
        source=source,
        target=Unlabelled(name=target.name, inputs=target.inputs),
        evaluation=Evaluation(source_test=draw("source test", 256), target_test=draw("target test", 128)),
        _open_target=lambda: target,
    )
