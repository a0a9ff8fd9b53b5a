"""Figure of one pair over all seeds: accuracies, domain loss and schedules."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.record import names
from results.cells import LOWER, UPPER
from results.drawing.base import GREY, LINE_STYLES, Material, colour_methods, styled
from results.words import count_seeds, title_method

ALPHA_COLOUR, LR_COLOUR = "#333333", "#AA4499"


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """Accuracies, domain loss and schedules over steps, for each pair and recipe."""
    for place, title, part in material.by_recipe():
        if len(part.curves):
            seen = part.read_evaluations(str(part.runs.index[0]))
            chance = None if seen is None else 1 / seen[names.TARGET_LOGITS].shape[-1]
            yield f"{place} curves", draw_curves(part.runs, part.curves, title, chance)


def draw_curves(runs: pd.DataFrame, curves: pd.DataFrame, title: str, chance: float | None = None) -> Figure:
    """Target and source accuracy and domain loss over steps for each method; alpha and lr over progress.

    A line is the mean over seeds, its band ± the sample standard deviation (n - 1). A method of many variants has a
    scale of colours in place of line styles, and no bands.

    Args:
        runs: one row a run of one pair and recipe, with the columns of `name_cells`.
        curves: columns run_id, step, metric, value.
        title: the pair as printed.
        chance: accuracy of guessing, 1 / classes.
    """
    lines = average_curves(runs, curves)
    variants = lines.groupby("method")["name"].nunique()
    crowded = [str(method) for method, count in variants.items() if count > len(LINE_STYLES)]
    looks = _choose_looks(lines, crowded)
    counts = runs.groupby(["method", "variant"]).size()
    bands = f"band ± sample standard deviation{' where there is one' if crowded else ''}"
    spread = f"mean over seeds, {bands}" if counts.max() > 1 else "no spread"
    with styled():
        figure = Figure(figsize=(9, 6.2), layout="constrained")
        panels = figure.subplots(2, 2)
        panels[0, 1].sharey(panels[0, 0])  # the distance between the domains is what matters
        for axis, metric, heading in (
            (panels[0, 0], names.TARGET_ACCURACY, "target accuracy (test split)"),
            (panels[0, 1], names.SOURCE_ACCURACY, "source accuracy (test split)"),
            (panels[1, 0], names.DOMAIN_LOSS, "domain loss (training batches, nats)"),
        ):
            axis.set_title(heading, loc="left")
            axis.set_xlabel("step")
            for name, line in lines[lines["metric"] == metric].groupby("name"):
                axis.plot(line["step"], line["mean"], label=name, **looks[str(name)])
                if line["method"].iloc[0] in crowded:
                    continue
                low, high = line["mean"] - line["sd"], line["mean"] + line["sd"]
                if metric != names.DOMAIN_LOSS:  # no accuracy lies outside
                    low, high = low.clip(0, 1), high.clip(0, 1)
                axis.fill_between(line["step"], low, high, color=looks[str(name)]["color"], alpha=0.18, linewidth=0)
        if chance is not None:
            for axis in panels[0]:
                axis.axhline(chance, color=GREY, linewidth=1, linestyle="--")
                axis.annotate("chance", (1, chance), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                              fontsize=9, color=GREY)  # fmt: skip
        _mark_confusion(panels[1, 0])
        _draw_schedules(panels[1, 1], lines, {name: look for name, look in looks.items() if crowded})
        figure.suptitle(f"{title}\n{count_seeds(counts)}; {spread}", x=0.01, ha="left", fontsize=12)
        drawn = dict(zip(*panels[0, 0].get_legend_handles_labels()[::-1], strict=True))
        shown = [name for name in looks if name in drawn]
        columns, size = (min(len(shown), 3) or 1, "medium") if not crowded else (4, "x-small")
        handles = [drawn[name] for name in shown]
        figure.legend(handles, shown, loc="outside lower center", ncols=columns, fontsize=size)
    return figure


def average_curves(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Mean and sample standard deviation over seeds: columns name, method, metric, step, progress, mean, sd."""
    about = runs[["method"]].assign(
        name=[title_method(*cell) for cell in zip(runs["method"], runs["variant"], strict=True)],
        steps=runs["param.steps"].astype(int),
    )
    placed = curves.join(about, on="run_id", how="inner")
    placed["progress"] = placed["step"] / placed["steps"]
    points = placed.groupby(["name", "method", "metric", "step", "progress"])["value"]
    return points.agg(mean="mean", sd="std").reset_index()


def _choose_looks(lines: pd.DataFrame, crowded: list[str]) -> dict[str, dict[str, Any]]:
    # A colour a method, a line style a variant, the anchors around the methods.
    methods = lines.drop_duplicates("name").set_index("name")["method"].to_dict()
    colours = colour_methods(methods.values())
    looks: dict[str, dict[str, Any]] = {}
    for name in sorted(methods, key=lambda name: ({LOWER: 0, UPPER: 2}.get(methods[name], 1), str(name))):
        method = methods[name]
        earlier = sum(methods[other] == method for other in looks)
        if method in crowded:
            scale = 0.92 * earlier / (list(methods.values()).count(method) - 1)  # its last tenth is too pale on white
            looks[str(name)] = {"color": colormaps["viridis"](scale), "linestyle": "-", "linewidth": 1.2}
        else:
            style = "--" if crowded else LINE_STYLES[earlier % len(LINE_STYLES)]  # the scale has an anchor's green, too
            looks[str(name)] = {"color": colours[method], "linestyle": style}
    return looks


def _mark_confusion(axis: Axes) -> None:
    if not axis.lines:
        axis.text(0.5, 0.5, "no adversary in these runs", transform=axis.transAxes, ha="center", color=GREY)
        return
    low, high = axis.get_ylim()
    low, high = min(low, math.log(2) - 0.05), max(high, math.log(2) + 0.05)
    axis.set_ylim(low, high + 0.12 * (high - low))
    axis.axhline(math.log(2), color=GREY, linewidth=1, linestyle="--")
    note = "dashed: ln 2, domains confused (or adversary dead)"
    axis.text(0.99, 0.98, note, transform=axis.transAxes, ha="right", va="top", fontsize=9, color=GREY)


def _draw_schedules(axis: Axes, lines: pd.DataFrame, looks: dict[str, dict[str, Any]]) -> None:
    right = axis.twinx()
    right.spines["right"].set_visible(True)
    right.grid(False)
    right.tick_params(axis="y", colors=LR_COLOUR)
    axis.set_title("schedules", loc="left")
    axis.set_xlabel("progress = step / steps")
    axis.set_ylabel("alpha (solid)", color=ALPHA_COLOUR)
    right.set_ylabel("lr (dotted)", color=LR_COLOUR)
    for side, metric, colour, style in ((axis, names.ALPHA, ALPHA_COLOUR, "-"), (right, names.LR, LR_COLOUR, ":")):
        schedules = lines[lines["metric"] == metric]
        for name, line in schedules.groupby("name"):
            look = {"color": colour, "linestyle": style, "linewidth": 2}
            if metric == names.ALPHA:
                look |= looks.get(str(name), {})
            side.plot(line["progress"], line["mean"], **look)
        side.set_ylim(0, schedules["mean"].max() * 1.08 if schedules["mean"].max() > 0 else 1)
