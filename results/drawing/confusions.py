"""Figure of one pair: which classes each method takes for which, on the target test split."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.record import names
from results.drawing.base import Material, styled
from results.selecting import at_step
from results.words import fraction, title_method

MOST_NUMBERED = 12  # classes; with more of them a square has no room for its number
WIDEST_HEADING = 38


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """A square of true by predicted class for each method at its reported step, all seeds counted together.

    The title names the methods and counts the seeds that recorded none.
    """
    for place, title, part in material.by_recipe():
        counts: dict[str, list[np.ndarray]] = {}
        missing = []
        for cell in part.cells.to_dict("records"):
            of_cell = part.runs[(part.runs["method"] == cell["method"]) & (part.runs["variant"] == cell["variant"])]
            found = []
            for run_id, step in zip(of_cell.index, of_cell["step"], strict=True):
                arrays = part.read_evaluations(str(run_id))
                if arrays is not None and names.TARGET_CONFUSION in arrays:
                    found.append(at_step(arrays, int(step))[names.TARGET_CONFUSION])
            name = title_method(cell["method"], cell["variant"])
            if found:
                counts[name] = found
            if len(found) < len(of_cell) or not found:
                missing.append(name + f" ({len(of_cell) - len(found)} of {len(of_cell)} seeds)" * bool(found))
        if counts:
            lines = [f"{title}: target test split", *[f"not recorded: {', '.join(missing)}"] * bool(missing)]
            yield f"{place} confusions", draw_confusions(counts, "\n".join(lines))


def draw_confusions(counts: Mapping[str, Sequence[np.ndarray]], title: str) -> Figure:
    """Shares of each true class, a panel a method.

    Args:
        counts: heading -> of each seed that has recorded them (C, C), rows true, columns predicted.
        title: what stands above.
    """
    columns = 2 if len(counts) == 4 else min(len(counts), 3)
    rows = -(-len(counts) // columns)
    with styled():
        figure = Figure(figsize=(0.6 + 3.9 * columns, 0.9 + 3.9 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False)
        for axis in panels.flat[len(counts) :]:
            axis.set_axis_off()
        for axis, (heading, found) in zip(panels.flat, counts.items(), strict=False):
            matrix = np.sum(found, axis=0)
            shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
            axis.imshow(shares, vmin=0, vmax=1, cmap="Blues")
            accuracy = fraction(np.trace(matrix) / matrix.sum())
            text = f"{heading}: accuracy {accuracy}, n = {len(found)}"
            axis.set_title(textwrap.fill(text, WIDEST_HEADING), loc="left")
            axis.set(xlabel="predicted class", ylabel="true class")
            axis.grid(False)
            if len(matrix) <= MOST_NUMBERED:
                axis.set(xticks=range(len(matrix)), yticks=range(len(matrix)))
                _number(axis, shares)
        figure.colorbar(
            panels[0, 0].images[0], ax=panels, shrink=0.7, label="share of the true class; numbers in per cent"
        )
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, wrap=True)
    return figure


def _number(axis: Axes, shares: np.ndarray) -> None:
    # Whole per cents, where there is at least half of one.
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            colour = "white" if share > 0.5 else "black"
            axis.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7.5, color=colour)
