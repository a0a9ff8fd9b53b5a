"""One of each kind in one file outside the repository, trained by the command with workers, recorded and tracked."""

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.errors import BadInput
from experiments.launch import check_all, read_command
from experiments.record import names
from experiments.validators import find_validator
from tests.support.trainings import train_alone, train_together

MINE = '''
"""Everything that can be brought, and nothing of it in the repository."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from datasets import Domain, register
from experiments import Experiment
from experiments.methods import Adversarial
from experiments.networks import Network
from experiments.optimisers import Optimiser
from experiments.validators import Validator
from grl.losses import domain_adversarial_loss
from grl.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class Wave(Schedule):
    """A schedule of one's own."""

    height: float = 1

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        return self.height * progress


@dataclass(frozen=True, kw_only=True)
class Sharp(Adversarial):
    """A method of one's own: DANN on features that are scaled, with a second scheduled value."""

    name = "sharp"
    alpha: Schedule = Wave(height=2)
    sharpness: Schedule = Wave(height=3)
    margin: float | None = None

    def heads(self, network, width, classes):
        return {"critic": lambda: network.domain_head(width)}

    def losses(self, networks, passed, *, alpha, sharpness):
        found = super().losses(networks, passed, alpha=alpha)
        return found._replace(curves=found.curves | {"sharp_loss": sharpness * found.label_loss})

    def adversary(self, networks, passed, alpha):
        return domain_adversarial_loss(networks.heads["critic"], passed.features, passed.domain_labels, alpha)


@dataclass(frozen=True, kw_only=True)
class Net(Network):
    """A network of one's own, that can be stacked."""

    name = "net"
    together = 4
    units: int = 8

    def feature_extractor(self, shape):
        return nn.Sequential(nn.Linear(*shape, self.units), nn.Tanh())


@dataclass(frozen=True, kw_only=True)
class RMSprop(Optimiser):
    """An optimiser of one's own."""

    name = "rmsprop"

    def build(self, weights, lr):
        return torch.optim.RMSprop(weights, lr=lr, weight_decay=self.weight_decay)


def draw(shift: float) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    inputs = (random.normal(size=(60, 3)) + 3 * labels[:, None] + shift).astype(np.float32)
    return {
        "train_inputs": inputs[:40], "train_labels": labels[:40],
        "test_inputs": inputs[40:], "test_labels": labels[40:],
    }


def near(root):
    """Two blobs."""
    return draw(0)


def far(root):
    """The same, elsewhere."""
    return draw(2)


for name, build in (("blobs", near), ("far_blobs", far)):
    register(Domain(name=name, title=name, class_names=("a", "b"), shape=(3,), counts=(40, 20), build=build))

largest_logit = Validator(lambda target_logits: float(target_logits.max()), ("target_logits",), "largest_logit")


def recipe() -> Experiment:
    """Everything at once."""
    return Experiment(
        pair="blobs_to_far_blobs", method=Sharp(), network=Net(), optimiser=RMSprop(), lr=Wave(height=0.01),
        steps=20, batch_size=8, evaluate_every=10, log_every=5,
    )


def table(seeds: int = 2) -> list[Experiment]:
    """A table of it."""
    return [dataclasses.replace(recipe(), seed=seed) for seed in range(seeds)]
'''


def run(own, *command: str) -> tuple[int, str]:
    """Exit code and everything that `python -m experiments` says, started in the user's own folder."""
    done = subprocess.run(
        [sys.executable, "-m", "experiments", *command],
        cwd=own.folder,
        env=os.environ | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def runs_below(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob("*/run.json"))


def test_one_of_each_kind_from_outside(own, runs, client):
    own("mine", MINE)
    code, said = run(own, "run", "mine:table", "--workers", "2", "--method.margin", "3", "--sharpness.height", "5")
    assert code == 0, said
    assert "Traceback" not in said
    folders = runs_below(runs)
    assert len(folders) == 2
    for folder in folders:
        description = json.loads((folder / names.RUN).read_text())
        params, tags = description["params"], description["tags"]
        assert json.loads((folder / names.STATUS).read_text())["status"] == "FINISHED"
        assert (params["method"], params["method.margin"], params["method.sharpness.height"]) == ("sharp", "3.0", "5.0")
        assert description["experiment"]["network"]["class"] == "mine:Net"
        assert (tags[names.PROGRAM], tags[names.VERDICT]) == ("together", "reversed")
        assert len(tags[names.FOREIGN_SOURCE]) == 16
        with np.load(folder / names.EVALUATIONS) as arrays:
            assert arrays[names.TARGET_LOGITS].shape == (2, 40, 2)
    # The validator of one's own chooses among what was recorded.
    assert find_validator("mine:largest_logit").needs == (names.TARGET_LOGITS,)

    # Done is done, until the source changes.
    own("mine", MINE + "# changed")
    code, said = run(own, "run", "mine:table", "--method.margin", "3", "--sharpness.height", "5")
    assert code == 0
    assert "2 finished runs are stale and trained again: the source of a module that it names has changed" in said


def test_what_is_brought_by_option_needs_no_recipe(own, runs, client):
    own("mine", MINE)
    options = (
        "--method mine:Sharp --network mine:Net --optimiser mine:RMSprop --lr mine:Wave --lr.height 0.01 --steps 10"
    )
    code, said = run(own, "run", "moons", *options.split(), "--evaluate-every", "10", "--log-every", "5")
    assert code == 0, said
    [folder] = runs_below(runs)
    described = json.loads((folder / names.RUN).read_text())["experiment"]
    assert [described[part]["class"] for part in ("method", "network", "optimiser", "lr")] == [
        "mine:Sharp",
        "mine:Net",
        "mine:RMSprop",
        "mine:Wave",
    ]


BROKEN = '''
from mine import *

@dataclass(frozen=True, kw_only=True)
class Broken(Sharp):
    """A bug that shows in a step."""
    name = "broken"

    def adversary(self, networks, passed, alpha):
        return {}["no such key"]

@dataclass(frozen=True, kw_only=True)
class Misfit(Net):
    """A head for other features."""
    name = "misfit"

    def domain_head(self, width):
        return nn.Sequential(nn.Linear(width + 1, 1), nn.Flatten(0))

def bug(): return dataclasses.replace(recipe(), method=Broken())
def misfit(): return dataclasses.replace(recipe(), network=Misfit())
'''


def test_a_bug_keeps_its_traceback_and_a_misfit_is_one_line(own, runs, client):
    own("mine", MINE)
    own("broken", BROKEN)
    with pytest.raises(BadInput, match="the domain head of network misfit cannot take 8 features: "):
        check_all(read_command("run", "broken:misfit", []).experiments)
    code, said = run(own, "run", "broken:bug")
    assert code == 2
    assert said.count("Traceback") == 1
    assert 'return {}["no such key"]' in said
    [folder] = runs_below(runs)
    assert json.loads((folder / names.STATUS).read_text())["status"] == "FAILED"


README = Path(__file__).parents[1] / "README.md"


def test_a_method_of_ones_own_in_20_lines_as_the_readme_prints_it(own, moons_pair):
    [module] = re.findall(r"```python\n(# my_methods\.py\n.*?)```", README.read_text(), re.DOTALL)
    body = module.partition("@dataclass")[2].partition("def shy_moons")[0]
    assert len([line for line in body.splitlines() if line.strip()]) <= 20
    own("my_methods", module)
    commands = re.findall(r"^python -m experiments run (.*my_methods:.*)$", README.read_text(), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        name, *options = shlex.split(command)
        [experiment] = read_command("run", name, options).experiments
        assert experiment.method.name == "shy"
        check_all([experiment])
    small = dataclasses.replace(experiment, steps=20, evaluate_every=20, log_every=20)
    alone, together = train_alone(small, moons_pair), train_together([small], moons_pair)
    assert [verdict.status for _, verdict in alone.notes.verdicts] == ["reversed"]
    assert alone.points()[-2][1] == pytest.approx(together.points()[-2][1], abs=1e-5)
