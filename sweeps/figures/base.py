"""The form of a sweep's figure, and what all of them share."""

from collections.abc import Callable, Sequence

import optuna
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial

from sweeps.sweep import Sweep

Draw = Callable[[Sweep, optuna.Study], Figure | None]
"""A figure: what a study shows, or None where it shows nothing of the kind."""

# Okabe and Ito's palette (2008), and markers beside it: no family is told by its colour alone.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#999999"
SCALE = "cividis"  # made for colour-blind readers, and grey prints keep its order


def value_of(trial: FrozenTrial) -> float:
    """The objective of a complete trial."""
    assert trial.value is not None
    return trial.value


def family_of(trial: FrozenTrial) -> str:
    """The schedule that a trial has chosen; empty where there is no choice."""
    return str(trial.params.get("schedule", ""))


def by_family(trials: Sequence[FrozenTrial]) -> dict[str, tuple[str, str, list[FrozenTrial]]]:
    """Colour, marker and trials of every family, in the order of their names."""
    families = sorted({family_of(trial) for trial in trials})
    return {
        family: (COLOURS[place % 7], MARKERS[place % 7], [trial for trial in trials if family_of(trial) == family])
        for place, family in enumerate(families)
    }


def find_floor(trials: Sequence[FrozenTrial]) -> float:
    """The objective at the lower edge of a figure, where what is worse stands, too: else one bad trial takes all room.

    One and a half times as far below the best as nine trials in ten reach.
    """
    values = sorted(map(value_of, trials))
    low, high = values[len(values) // 10], values[-1]
    return max(values[0], high - 1.5 * (high - low))


def label_of(sweep: Sweep) -> str:
    """What the objective is called on an axis."""
    used = " (target labels)" if sweep.search.sees_target_labels else ""
    return sweep.search.objective.rpartition(":")[2].replace("_", " ") + used


def shade(trials: Sequence[FrozenTrial]) -> Normalize:
    """From objectives to shades, with the same floor."""
    low, high = find_floor(trials), max(map(value_of, trials))
    return Normalize(low, high if high > low else low + 1e-9, clip=True)
