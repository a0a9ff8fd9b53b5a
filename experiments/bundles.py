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
from experiments.recording import folder_of, is_done, read_json


@dataclass(frozen=True)
class Bundle:
    """Runs that are trained as one program, or one run that is trained in the plain loop."""

    experiments: tuple[Experiment, ...]
    name: str
    """Names its checkpoint: the hash of a run in the plain loop."""
    begun: str = ""
    """Name of the bundle in which they were begun, these alone or with others; empty for a fresh start."""

    @property
    def folder(self) -> Path:
        """Where its checkpoint lies."""
        return runs_root() / self.name if self.is_plain else folder_of_bundle(self.name)

    @property
    def is_plain(self) -> bool:
        """Whether it is one run in the plain loop."""
        return self.name == self.experiments[0].hash

    @property
    def title(self) -> str:
        """For progress lines."""
        first = self.experiments[0]
        if len(self.experiments) == 1:
            return first.title
        return f"{first.method} {first.pair}, {len(self.experiments)} runs together [{first.network}]"


def folder_of_bundle(name: str) -> Path:
    """Where the checkpoint of a bundle lies that is not plain."""
    return runs_root() / "together" / name


def bundle_tag(run: Path) -> str:
    """Name of the bundle that holds the state of the run in this folder; empty if it was never in one."""
    return (read_json(run / RUN) or {"tags": {}})["tags"].get(TOGETHER, "")


def plain(experiment: Experiment) -> Bundle:
    """One run in the plain loop."""
    return Bundle((experiment,), experiment.hash)


def bundle(experiments: Sequence[Experiment], machine: Machine = AUTOMATIC) -> list[Bundle]:
    """Put together what is not done, differs in seed, alpha and selection alone, and is faster so, in the list's order.

    A run of such a network is computed so even where it is the only one, because the two ways round differently and
    its numbers must not depend on its company. What was begun together, or in the plain loop, goes on there. A gain was
    measured on the CPU alone: elsewhere, and in several processes that torchrun started, the loop is plain.
    """
    experiments = [experiment for experiment in dict.fromkeys(experiments) if not is_done(experiment)]
    _, processes = place()
    if not machine.is_plain or processes > 1:
        return [plain(experiment) for experiment in experiments]
    groups: dict[tuple[str, str], list[Experiment]] = {}
    for experiment in experiments:
        groups.setdefault(_group_of(experiment), []).append(experiment)
    bundles = []
    for (kind, key), members in groups.items():
        match kind:
            case "plain":
                bundles.append(plain(members[0]))
            case "begun":
                bundles.append(Bundle(tuple(members), _name(members), key))
            case _:
                parts = math.ceil(len(members) / NETWORKS[members[0].network].together)
                size = math.ceil(len(members) / parts)
                for start in range(0, len(members), size):
                    part = tuple(members[start : start + size])
                    bundles.append(Bundle(part, _name(part)))
    return bundles


def _name(members: Sequence[Experiment]) -> str:
    hashes = ",".join(sorted(experiment.hash for experiment in members))
    return hashlib.sha256(hashes.encode()).hexdigest()[:16]


def _group_of(experiment: Experiment) -> tuple[str, str]:
    """Kind and key of the group that a run belongs to: "plain", "begun" or "fresh"."""
    folder = folder_of(experiment)
    if (
        NETWORKS[experiment.network].together == 1
        or experiment.precision != "float32"
        or (folder / CHECKPOINT).exists()
    ):
        return "plain", experiment.hash
    begun = bundle_tag(folder)
    if begun and (folder_of_bundle(begun) / CHECKPOINT).exists():
        return "begun", begun
    recipe = {k: v for k, v in experiment.canonical().items() if k not in ("alpha", "seed", "selection")}
    return "fresh", json.dumps(recipe, sort_keys=True)
