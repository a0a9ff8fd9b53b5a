"""Which runs of a list are trained as one program."""

import math
from collections.abc import Sequence

from experiments.experiment import Experiment
from experiments.training.machine import AUTOMATIC, Machine
from experiments.training.together import can_be_together, group_of

Bundle = tuple[Experiment, ...]
"""Runs that one worker trains at once: one, or several as one program."""


def bundle(experiments: Sequence[Experiment], machine: Machine = AUTOMATIC) -> list[Bundle]:
    """Put together what is faster so, in the list's order; each run keeps its own checkpoint and its own bits."""
    groups: dict[str, list[Experiment]] = {}
    for experiment in dict.fromkeys(experiments):
        key = group_of(experiment) if can_be_together(experiment, machine) else experiment.hash
        groups.setdefault(key, []).append(experiment)
    bundles: list[Bundle] = []
    for members in groups.values():
        most = members[0].network.together if can_be_together(members[0], machine) else 1
        size = math.ceil(len(members) / math.ceil(len(members) / most))
        bundles += [tuple(members[start : start + size]) for start in range(0, len(members), size)]
    return bundles


def title_of(members: Bundle) -> str:
    """For progress lines."""
    first = members[0]
    if len(members) == 1:
        return first.title
    return f"{first.method.name} {first.pair}, {len(members)} runs together [{first.network.name}]"
