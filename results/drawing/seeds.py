"""Figure of one pair: the target accuracy of every seed, so that a collapsed one is seen and not averaged away."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from experiments.record import names
from results.drawing.base import GREY, Material, colour_methods, styled
from results.words import title_method


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """A dot a seed, joined by a line where the seed is the same, and the mean of each cell."""
    for place, title, part in material.by_recipe():
        cells, colours = part.cells, colour_methods(part.cells["method"])
        heights = {(cell["method"], cell["variant"]): -row for row, cell in enumerate(cells.to_dict("records"))}
        with styled():
            figure = Figure(figsize=(9, 1.4 + 0.36 * len(cells)), layout="constrained")
            axis = figure.subplots()
            for _, runs in part.runs.groupby("seed"):
                points = sorted(
                    (heights[run["method"], run["variant"]], run[names.TARGET_ACCURACY])
                    for run in runs.to_dict("records")
                )
                axis.plot([x for _, x in points], [y for y, _ in points], color="#dddddd", linewidth=0.8, zorder=1)
            for (method, variant), height in heights.items():
                runs = part.runs[(part.runs["method"] == method) & (part.runs["variant"] == variant)]
                values = runs[names.TARGET_ACCURACY].astype(float)
                axis.plot(values, [height] * len(values), "o", color=colours[method], alpha=0.75, markersize=5)
                axis.plot(values.mean(), height, "|", color="black", markersize=14, markeredgewidth=2)
            axis.set_yticks(list(heights.values()), [title_method(*cell) for cell in heights])
            axis.set_ylim(-len(heights) + 0.4, 0.6)
            axis.grid(axis="y", visible=False)
            axis.set_xlabel("target accuracy (test split)")
            figure.suptitle(f"{title}: every seed", x=0.01, ha="left", fontsize=12)
            axis.set_title("bar: mean; a grey line joins the runs of one seed", loc="left", fontsize=9, color=GREY)
        yield f"{place} seeds", figure
