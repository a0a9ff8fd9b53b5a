"""Which runs of a list are trained as one program."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.distributed import place
from experiments.experiment import Experiment
from experiments.machine import AUTOMATIC, Machine
from experiments.networks import NETWORKS
from experiments.record import CHECKPOINT, RUN, TOGETHER, runs_root
from experiments.recording import folder_of, read_json


@dataclass(frozen=True)
class Bundle:
    """Runs that are trained as one program; mostly one."""

    experiments: tuple[Experiment, ...]
    name: str
    """Names its checkpoint: the hash of a run alone."""

    @property
    def folder(self) -> Path:
        """Where its checkpoint lies."""
        return runs_root() / self.name if self.is_single else runs_root() / "together" / self.name

    @property
    def is_single(self) -> bool:
        """Whether there is but one run, trained in the plain loop."""
        return len(self.experiments) == 1 and self.name == self.experiments[0].hash

    @property
    def title(self) -> str:
        """For progress lines."""
        first = self.experiments[0]
        if self.is_single:
            return first.title
        return f"{first.method} {first.pair}, {len(self.experiments)} runs together [{first.network}]"


def alone(experiment: Experiment) -> Bundle:
    """A run in a bundle of its own."""
    return Bundle((experiment,), experiment.hash)


def bundle(experiments: Sequence[Experiment], machine: Machine = AUTOMATIC) -> list[Bundle]:
    """Put together what differs in seed, alpha and selection alone and is faster so, in the order of the list.

    What was begun together, or alone, goes on as it was. A gain was measured on the CPU alone: elsewhere, and in
    several processes that torchrun started, each run is trained alone.
    """
    experiments = list(dict.fromkeys(experiments))
    _, processes = place()
    if not machine.is_plain or processes > 1:
        return [alone(experiment) for experiment in experiments]
    groups: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        groups.setdefault(_group_of(experiment), []).append(experiment)
    bundles = []
    for name, members in groups.items():
        if _checkpoint_of(name).exists():
            bundles.append(Bundle(tuple(members), name))
            continue
        parts = math.ceil(len(members) / NETWORKS[members[0].network].together)
        size = math.ceil(len(members) / parts)
        for start in range(0, len(members), size):
            part = tuple(members[start : start + size])
            name = _digest(",".join(sorted(experiment.hash for experiment in part)))
            bundles.append(alone(part[0]) if len(part) == 1 else Bundle(part, name))
    return bundles


def _checkpoint_of(name: str) -> Path:
    return runs_root() / "together" / name / CHECKPOINT


def _group_of(experiment: Experiment) -> str:
    folder = folder_of(experiment)
    if (
        NETWORKS[experiment.network].together == 1
        or experiment.precision != "float32"
        or (folder / CHECKPOINT).exists()
    ):
        return experiment.hash
    begun = (read_json(folder / RUN) or {"tags": {}})["tags"].get(TOGETHER)
    if begun and _checkpoint_of(begun).exists():
        return begun
    recipe = {k: v for k, v in experiment.canonical().items() if k not in ("alpha", "seed", "selection")}
    return _digest(json.dumps(recipe, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
