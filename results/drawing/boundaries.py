"""Figure of one pair of two numbers a sample: what each method makes of the plane (Ganin et al. 2016, figure 2)."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments.record import names
from results.cells import UPPER
from results.drawing.base import CLASS_COLOURS, DOMAIN_COLOURS, GREY, Material, styled
from results.selecting import at_step
from results.words import fraction, title_method

MOST_ROWS, MOST_POINTS, WIDEST_HEADING = 4, 300, 30
PANELS = ("labels", "features, two principal components", "domains", "units of the first layer")
_MARKERS = "_P^sD"  # of classes: the first two are the paper's minus and plus
_COLOURS = (CLASS_COLOURS[0], CLASS_COLOURS[6], *CLASS_COLOURS[1:6], *CLASS_COLOURS[7:])  # the first two far apart
_SHADE = 0.18


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """Four panels a method, of its lowest seed, at the last step; target_only left out."""
    for place, title, part in material.by_recipe():
        runs = part.runs[(part.runs["method"] != UPPER) & (part.runs["step"] == part.runs["param.steps"].astype(int))]
        if runs.empty or names.PLANE_AXES not in (part.read_evaluations(str(runs.index[0])) or {}):
            continue
        rows, firsts = {}, runs.sort_values("seed").drop_duplicates(["method", "variant"])
        cells = part.cells.merge(firsts[["method", "variant"]])[["method", "variant"]].to_dict("records")
        # Of many variants the first, the last and those evenly between.
        kept = np.linspace(0, len(cells) - 1, min(len(cells), MOST_ROWS)).round().astype(int)
        for cell in (cells[place] for place in kept):
            run = firsts[(firsts["method"] == cell["method"]) & (firsts["variant"] == cell["variant"])].iloc[0]
            if (arrays := part.read_evaluations(str(run.name))) and names.PLANE_AXES in arrays:
                heading = f"{title_method(cell['method'], cell['variant'])}, seed {run['seed']}"
                accuracy = f"target accuracy {fraction(run[names.TARGET_ACCURACY])}"
                rows[f"{heading}\n{accuracy}"] = at_step(arrays, int(run["step"]))
        if rows:
            yield f"{place} boundaries", draw_planes(rows, title)


def draw_planes(rows: Mapping[str, Mapping[str, np.ndarray]], title: str) -> Figure:
    """A row a run, a column each of `PANELS`.

    Args:
        rows: heading -> the arrays `PLANE_…` of `record.names`, with features, labels and domain_labels.
        title: the pair as printed.
    """
    with styled():
        figure = Figure(figsize=(12, 0.9 + 3.1 * len(rows)), layout="constrained")
        panels = figure.subplots(len(rows), len(PANELS), squeeze=False)
        for axes, (heading, arrays) in zip(panels, rows.items(), strict=True):
            lines = [textwrap.fill(line, WIDEST_HEADING) for line in heading.splitlines()]
            axes[0].set_ylabel("\n".join(lines))
            _draw_row(axes, arrays)
        for axis, heading in zip(panels[0], PANELS, strict=True):
            axis.set_title(heading, loc="left")
        for axis in panels.flat:
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            axis.spines[["top", "right"]].set_visible(True)
        handles, labels = panels[0, 0].get_legend_handles_labels()
        sides = [
            Patch(color=colour, alpha=_SHADE, label=f"taken for {domain}")
            for domain, colour in zip(("source", "target"), DOMAIN_COLOURS, strict=True)
        ]
        labels += [str(side.get_label()) for side in sides]
        figure.legend([*handles, *sides], labels, loc="outside lower center", ncols=len(labels), fontsize=10)
        figure.suptitle(
            f"{title}: test points; a black line is where a prediction changes, a grey one where a unit does",
            x=0.01, ha="left", fontsize=12,
        )  # fmt: skip
    return figure


def _draw_row(axes: Sequence[Axes], arrays: Mapping[str, np.ndarray]) -> None:
    x, y = arrays[names.PLANE_AXES]
    logits = arrays[names.PLANE_LABELS].astype(float)
    classes = logits.shape[-1]
    inputs, features = arrays[names.PLANE_INPUTS], arrays[names.FEATURES].astype(float)[:, :2]
    shades = [_COLOURS[place % len(_COLOURS)] for place in range(classes)]
    axes[0].contourf(x, y, logits.argmax(-1), levels=np.arange(classes + 1) - 0.5, colors=shades, alpha=_SHADE)
    for place in range(classes):
        rest = np.delete(logits, place, -1).max(-1)
        axes[0].contour(x, y, logits[..., place] - rest, levels=[0], colors="black", linewidths=1.6)
    if (domains := arrays.get(names.PLANE_DOMAIN)) is None:
        axes[2].text(0.5, 0.96, "no domain classifier", transform=axes[2].transAxes, ha="center", va="top", color=GREY)
    else:
        sides = (domains > 0).astype(float)
        axes[2].contourf(x, y, sides, levels=[-0.5, 0.5, 1.5], colors=list(DOMAIN_COLOURS), alpha=_SHADE)
        if sides.min() == sides.max():
            side = ("source", "target")[int(sides.max())]
            note = f"calls all of it {side}"
            axes[2].text(0.5, 0.96, note, transform=axes[2].transAxes, ha="center", va="top", color=GREY)
        else:
            axes[2].contour(x, y, domains.astype(float), levels=[0], colors="black", linewidths=1.6)
    for a, b, c in arrays.get(names.PLANE_LINES, np.empty((0, 3))):
        if (norm := a * a + b * b) > 0:
            foot = np.array([-c * a, -c * b]) / norm  # of the perpendicular from the origin
            axes[3].axline(tuple(foot), tuple(foot + np.array([-b, a]) / np.sqrt(norm)), color="#555555", linewidth=0.9)
    for axis, points in zip(axes, (inputs, features, inputs, inputs), strict=True):
        _scatter(axis, points, arrays[names.LABELS], arrays[names.DOMAIN_LABELS], classes)
    for axis in (axes[0], axes[2], axes[3]):
        axis.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))


def _scatter(axis: Axes, points: np.ndarray, labels: np.ndarray, domains: np.ndarray, classes: int) -> None:
    kept = np.linspace(0, len(points) - 1, min(len(points), 2 * MOST_POINTS)).round().astype(int)
    points, labels, domains = points[kept], labels[kept], domains[kept]
    axis.scatter(*points[domains == 1].T, s=7, color="black", linewidths=0, label="target")
    for place in range(classes):
        of_class = points[(domains == 0) & (labels == place)]
        marker, colour = _MARKERS[place % len(_MARKERS)], _COLOURS[place % len(_COLOURS)]
        axis.scatter(*of_class.T, s=22, marker=marker, color=colour, linewidths=1.1 if marker == "_" else 0,
                     label=f"source, class {place}")  # fmt: skip
