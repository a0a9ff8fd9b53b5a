"""The catalogue of figures: a file each, and in it a function `draw` of the form `base.Draw`."""

from results.drawing import (
    boundaries,
    confusions,
    curves,
    features,
    gaps,
    ranks,
    samples,
    schedules,
    seeds,
    study,
    validators,
)
from results.drawing.base import Draw

FIGURES: dict[str, Draw] = {
    "curves": curves.draw,
    "features": features.draw,
    "gaps": gaps.draw,
    "seeds": seeds.draw,
    "schedules": schedules.draw,
    "boundaries": boundaries.draw,
    "confusions": confusions.draw,
    "samples": samples.draw,
    "validators": validators.draw,
    "study": study.draw,
    "ranks": ranks.draw,
}
DEFAULT = ("curves", "features", "gaps")
