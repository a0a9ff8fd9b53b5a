"""Which runs of a list are trained as one program."""

import math
from collections.abc import Sequence

from experiments.experiment import Experiment
from experiments.methods.fitted import Fitted
from experiments.training.fitted import MOST, family_of
from experiments.training.machine import AUTOMATIC, Machine
from experiments.training.together import can_be_together, group_of

ON_CUDA = 4  # times as many, where a step costs what starting its operations does

Bundle = tuple[Experiment, ...]
"""Runs that one worker trains at once: one, or several as one program."""


def bundle(experiments: Sequence[Experiment], machine: Machine = AUTOMATIC) -> list[Bundle]:
    """Put together what is faster so, in the list's order; each run keeps its own checkpoint and its own bits."""
    groups: dict[tuple[str, int], list[Experiment]] = {}
    for experiment in dict.fromkeys(experiments):
        groups.setdefault(company_of(experiment, machine), []).append(experiment)
    bundles: list[Bundle] = []
    for (_, most), members in groups.items():
        size = math.ceil(len(members) / math.ceil(len(members) / most))
        bundles += [tuple(members[start : start + size]) for start in range(0, len(members), size)]
    return bundles


def company_of(experiment: Experiment, machine: Machine) -> tuple[str, int]:
    """What is equal for runs that one program can train, and how many of them it trains at most."""
    if isinstance(experiment.method, Fitted):
        return family_of(experiment), MOST
    if can_be_together(experiment, machine):
        return group_of(experiment), experiment.network.together * (
            ON_CUDA if machine.torch_device.type == "cuda" else 1
        )
    return experiment.hash, 1


def title_of(members: Bundle) -> str:
    """For progress lines."""
    first = members[0]
    if len(members) == 1:
        return first.title
    pairs = {each.pair for each in members}
    on = first.pair if len(pairs) == 1 else f"{len(pairs)} pairs"
    return f"{first.method.name} {on}, {len(members)} runs together [{first.network.name}]"
