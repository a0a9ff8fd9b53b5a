"""Figure of a whole table: how much of the way from source only to target only each method goes, pair by pair."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from results.drawing.base import GREY, Material, colour_methods, styled
from results.words import title_method, title_pair

MOST_ROWS = 60


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """gap_covered with its 95 % interval for every method and pair, 0 for source only and 1 for target only."""
    covered = material.cells[material.cells["gap_covered"].notna()]
    if not 1 <= len(covered) <= MOST_ROWS:
        return
    colours = colour_methods(covered["method"])
    with styled():
        figure = Figure(figsize=(9, 1.3 + 0.32 * (len(covered) + covered.groupby(["pair", "recipe"]).ngroups)))
        figure.set_layout_engine("constrained")
        axis = figure.subplots()
        ticks, height = [], 0.0
        for _, cells in covered.groupby(["pair", "recipe"], sort=False):
            first = cells.iloc[0]
            axis.text(0, height, title_pair(first["pair_title"], first["recipe"]), transform=axis.get_yaxis_transform())
            for cell in cells.to_dict("records"):
                height -= 1
                colour, gap = colours[cell["method"]], cell["gap_covered"]
                reach = [[gap - cell["gap_low"]], [cell["gap_high"] - gap]]
                if np.isfinite(reach).all():
                    axis.errorbar(gap, height, xerr=reach, color=colour, capsize=3, linewidth=1.6)
                else:
                    axis.annotate(" no interval", (gap, height), va="center", fontsize=8, color=GREY)
                axis.plot(gap, height, "o", color=colour)
                ticks.append((height, f"{title_method(cell['method'], cell['variant'])}, n = {cell['n_paired']:.0f}"))
            height -= 1.2
        for place, name in ((0, "source only"), (1, "target only")):
            axis.axvline(place, color=GREY, linewidth=1, linestyle="--")
            axis.annotate(name, (place, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", color=GREY)
        axis.set_yticks(*map(list, zip(*ticks, strict=True)))
        axis.set_ylim(height + 0.6, 0.9)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel("gap covered, 95 % interval (Fieller)")
    yield "gaps", figure
