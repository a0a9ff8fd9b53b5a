"""The catalogue of figures: a file each, and in it a function `draw` of the form `base.Draw`."""

from results.drawing import curves, features
from results.drawing.base import Draw

FIGURES: dict[str, Draw] = {
    "curves": curves.draw,
    "features": features.draw,
}
DEFAULT = ("curves", "features")
