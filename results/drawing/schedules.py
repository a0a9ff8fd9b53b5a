"""Figure of one pair: the alpha schedules of a table, and the target accuracy that each gave."""

from collections.abc import Iterator

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from experiments.record import names
from results.cells import LOWER, UPPER
from results.drawing.base import GREY, Material, styled
from results.drawing.curves import average_curves
from results.words import title_method


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """Alpha over progress coloured by accuracy, and accuracy over the mean alpha; where methods differ in alpha."""
    for place, title, part in material.by_recipe():
        lines = average_curves(part.runs, part.curves)
        lines = lines[lines["metric"] == names.ALPHA]
        if lines["name"].nunique() < 2:
            continue
        cells = part.cells.assign(
            name=[title_method(*cell) for cell in zip(part.cells["method"], part.cells["variant"], strict=True)]
        ).set_index("name")
        accuracies = cells["target_accuracy"].reindex(lines["name"].unique())
        colours = ScalarMappable(Normalize(accuracies.min(), accuracies.max()), colormaps["viridis"])
        with styled():
            figure = Figure(figsize=(9, 3.7), layout="constrained")
            left, right = figure.subplots(1, 2)
            for name, line in lines.groupby("name"):
                accuracy = accuracies[name]
                left.plot(line["progress"], line["mean"], color=colours.to_rgba(accuracy), linewidth=1.8)
                right.errorbar(
                    line["mean"].mean(), accuracy, yerr=np.nan_to_num(cells["target_accuracy_sd"][name]), fmt="o",
                    color=colours.to_rgba(accuracy), capsize=2, markersize=5, linewidth=1,
                )  # fmt: skip
            for anchor in (LOWER, UPPER):
                if (found := cells[cells["method"] == anchor]["target_accuracy"]).size == 1:
                    right.axhline(found.iloc[0], color=GREY, linewidth=1, linestyle="--")
                    right.annotate(title_method(anchor), (1, found.iloc[0]), xycoords=("axes fraction", "data"),
                                   ha="right", va="bottom", fontsize=9, color=GREY)  # fmt: skip
            if lines["mean"].min() > 0 and lines["mean"].max() > 20 * lines["mean"].min():
                left.set_yscale("log")
                right.set_xscale("log")
            left.set(xlabel="progress = step / steps", ylabel="alpha")
            right.set(xlabel="alpha, mean over the run", ylabel="target accuracy ± sd")
            figure.colorbar(colours, ax=left, label="target accuracy")
            figure.suptitle(f"{title}: schedules and what they gave", x=0.01, ha="left", fontsize=12)
        yield f"{place} schedules", figure
