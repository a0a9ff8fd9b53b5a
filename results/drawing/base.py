"""The form of a figure, and what all share: colours that colour-blind readers can tell apart, one style, one file."""

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.record import names
from results.cells import LOWER, UPPER
from results.words import title_pair

# Okabe and Ito's palette (2008), then some of Paul Tol's, as many as there are methods; a method has the same colour in
# every figure.
_METHOD_COLOURS = {LOWER: "#E69F00", "dann": "#0072B2", UPPER: "#009E73"}
_MORE_COLOURS = (
    "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#882255", "#999933", "#332288", "#88CCEE", "#661100", "#DDCC77",
    "#AA4499",
)  # fmt: skip
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


@dataclass(frozen=True)
class Material:
    """What a figure may be drawn of: a table's reported runs and all that was made of them."""

    runs: pd.DataFrame
    """One row a finished run of which a step is reported: the columns of `read_runs`, `name_cells` and `selecting`."""
    cells: pd.DataFrame
    """One row a cell: the columns of `summarise` and `compare`; of the study those of `judge`, of the atlas those of
    `compare_families`."""
    curves: pd.DataFrame
    """Columns run_id, step, metric, value."""
    read_evaluations: Callable[[str], dict[str, np.ndarray] | None]
    """Of a run id, the arrays of `record.names`; None, and a note to the reader, where there are none."""

    def by_recipe(self) -> "Iterator[tuple[str, str, Material]]":
        """For each pair and recipe what its files are called, its title, and its share of the material."""
        for key, runs in self.runs.groupby(["pair", "recipe"]):
            cells = self.cells[(self.cells[["pair", "recipe"]] == list(key)).all(axis=1)]
            curves = self.curves[self.curves["run_id"].isin(runs.index)]
            title = title_pair(runs[f"tag.{names.PAIR_TITLE}"].iloc[-1], str(key[1]))
            yield " ".join(map(str, key)).rstrip(), title, replace(self, runs=runs, cells=cells, curves=curves)


Draw = Callable[[Material], Iterable[tuple[str, Figure]]]
"""A figure: yields the end of a file's name and what it shows, once, for each pair, or not at all."""


def colour_methods(methods: Iterable[str]) -> dict[str, str]:
    """A colour for each method."""
    others = sorted(set(methods) - set(_METHOD_COLOURS))
    return _METHOD_COLOURS | {method: _MORE_COLOURS[i % len(_MORE_COLOURS)] for i, method in enumerate(others)}


def styled() -> AbstractContextManager[None]:
    """The style, for a `with` block around drawing."""
    return matplotlib.rc_context(_STYLE)  # pyright: ignore[reportArgumentType]  (its keys are strings)


def share_panels(figure: Figure, count: int, columns: int) -> list[Axes]:
    """So many panels in columns that share both axes; the lowest of each column has the numbers of x."""
    grid = figure.subplots(-(-count // columns), columns, sharex=True, sharey=True, squeeze=False)
    panels: list[Axes] = list(grid.flat)
    for axis in panels[count:]:
        axis.set_axis_off()
    for axis in panels[count - columns : count]:
        axis.tick_params(labelbottom=True)
    return panels[:count]


def to_png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as a PNG; equal drawings give equal bytes."""
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def to_svg(figure: Figure) -> bytes:
    """The figure as vectors; equal drawings give equal bytes."""
    buffer = io.BytesIO()
    with styled(), matplotlib.rc_context({"svg.hashsalt": "grl"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
