"""What all figures share: colours that colour-blind readers can tell apart, one style, one way to a PNG."""

import io
from collections.abc import Iterable
from contextlib import AbstractContextManager

import matplotlib
from matplotlib.figure import Figure

from results.cells import LOWER, UPPER

# Okabe and Ito's palette (2008); a method has the same colour in every figure.
_METHOD_COLOURS = {LOWER: "#E69F00", "dann": "#0072B2", UPPER: "#009E73"}
_MORE_COLOURS = ("#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
DOMAIN_COLOURS = ("#0072B2", "#D55E00")  # source, target
# Paul Tol's muted scheme and black: ten classes.
CLASS_COLOURS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#000000",
)  # fmt: skip
GREY = "#666666"
LINE_STYLES = ("-", "--", ":", "-.")

_STYLE = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
}


def colour_methods(methods: Iterable[str]) -> dict[str, str]:
    """A colour for each method."""
    others = sorted(set(methods) - set(_METHOD_COLOURS))
    return _METHOD_COLOURS | {method: _MORE_COLOURS[i % len(_MORE_COLOURS)] for i, method in enumerate(others)}


def styled() -> AbstractContextManager[None]:
    """The style, for a `with` block around drawing."""
    return matplotlib.rc_context(_STYLE)  # pyright: ignore[reportArgumentType]  (its keys are strings)


def to_png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as a PNG; equal drawings give equal bytes."""
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
