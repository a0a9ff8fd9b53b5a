"""Figure of a whole table: how much of the way from source only to target only each method goes, pair by pair."""

import textwrap
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from results.drawing.base import GREY, Material, colour_methods, share_panels, styled
from results.words import count_seeds, describe_gapless, title_method, title_pair

ACROSS = 4  # panels beside each other
WIDEST_TITLE = 28  # letters a line
LETTERS_AN_INCH = 11  # of what stands below


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """gap_covered with its 95 % interval: a panel a method, a line a pair; 0 is source only and 1 target only."""
    covered = material.cells[material.cells["gap_covered"].notna()]
    if covered.empty:
        return
    titles = [title_pair(*both) for both in zip(covered["pair_title"], covered["recipe"], strict=True)]
    covered = covered.assign(title=["\n".join(textwrap.wrap(title, WIDEST_TITLE)) for title in titles])
    pairs, methods = list(covered["title"].unique()), list(covered.groupby(["method", "variant"], sort=False))
    colours = colour_methods(covered["method"])
    columns = min(ACROSS, len(methods))
    rows = -(-len(methods) // columns)
    lines = len(pairs) * max(title.count("\n") + 2 for title in pairs)
    with styled():
        size = 2.6 + max(2.4 * columns, 4.0), rows * (0.9 + 0.17 * lines) + 0.4
        figure = Figure(figsize=size, layout="constrained")
        panels = share_panels(figure, len(methods), columns)
        for axis, (_, cells) in zip(panels, methods, strict=True):
            draw_method(axis, cells.assign(line=cells["title"].map(pairs.index)), colours[cells["method"].iloc[0]])
            title = textwrap.fill(title_method(*cells.iloc[0][["method", "variant"]]), WIDEST_TITLE)
            axis.set_title(f"{title}\n{count_seeds(cells['n_gap'])}", loc="left")
        panels[0].set_yticks(range(len(pairs)), pairs)
        panels[0].set_ylim(len(pairs) - 0.5, -0.5)
        labels = ["gap covered (0 source only, 1 target only), 95 % interval (Fieller)"]
        labels += textwrap.wrap("".join(describe_gapless(material.cells)), int(size[0] * LETTERS_AN_INCH))
        figure.supxlabel("\n".join(labels), fontsize=11)
    yield "gaps", figure


def draw_method(axis: Axes, cells: pd.DataFrame, colour: str) -> None:
    """The gaps of one method, a line a pair."""
    for place in (0, 1):
        axis.axvline(place, color=GREY, linewidth=1, linestyle="--")
    for cell in cells.to_dict("records"):
        gap, line = cell["gap_covered"], cell["line"]
        reach = [[gap - cell["gap_low"]], [cell["gap_high"] - gap]]
        if np.isfinite(reach).all():
            axis.errorbar(gap, line, xerr=reach, color=colour, capsize=3, linewidth=1.6)
        else:
            axis.annotate("no interval", (gap, line), (0, 6), textcoords="offset points", ha="center", fontsize=8,
                          color=GREY)  # fmt: skip
        axis.plot(gap, line, "o", color=colour)
    axis.grid(axis="y", visible=False)
