"""The catalogue of figures: a file each, and in it a function `draw` of the form `base.Draw`."""

from results.drawing import curves, features, gaps, ranks, schedules, seeds, validators
from results.drawing.base import Draw

FIGURES: dict[str, Draw] = {
    "curves": curves.draw,
    "features": features.draw,
    "gaps": gaps.draw,
    "seeds": seeds.draw,
    "schedules": schedules.draw,
    "validators": validators.draw,
    "ranks": ranks.draw,
}
DEFAULT = ("curves", "features", "gaps")
