"""Figures of curves: one pair over all seeds, or one run alone."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import record
from results.figures import LINE_STYLES, colour_methods, styled

ADVERSARY_COLOUR, LR_COLOUR = "#333333", "#AA4499"


def draw_curves(runs: pd.DataFrame, curves: pd.DataFrame, title: str) -> Figure:
    """Target and source accuracy and domain loss over steps for each method; alpha and lr over progress.

    A line is the mean over seeds, its band ± the sample standard deviation (n - 1).

    Args:
        runs: one row a run of one pair and recipe, with the columns of `name_cells`.
        curves: columns run_id, step, metric, value.
        title: the pair as printed.
    """
    lines = _average(runs, curves)
    names = list(dict.fromkeys(lines["name"]))
    colours = colour_methods(runs["method"])
    methods = lines.drop_duplicates("name").set_index("name")["method"]
    looks: dict[str, dict] = {}
    for name in names:
        earlier = sum(methods[other] == methods[name] for other in looks)
        looks[name] = {"color": colours[methods[name]], "linestyle": LINE_STYLES[earlier % len(LINE_STYLES)]}

    with styled():
        figure = Figure(figsize=(9, 6.6), layout="constrained")
        axes = figure.subplots(2, 2)
        for axis, metric, heading in (
            (axes[0, 0], record.TARGET_ACCURACY, "Target accuracy (test split)"),
            (axes[0, 1], record.SOURCE_ACCURACY, "Source accuracy (test split)"),
            (axes[1, 0], record.DOMAIN_LOSS, "Domain loss (training batches, nats)"),
        ):
            axis.set_title(heading, loc="left")
            axis.set_xlabel("step")
            for name in names:
                _draw_line(axis, lines[(lines["metric"] == metric) & (lines["name"] == name)], name, looks[name])
        _mark_confusion(axes[1, 0], lines)
        _draw_schedules(axes[1, 1], lines)
        counts = runs.groupby(["method", "variant"]).size()
        n = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
        band = "mean over n seeds, band ± sample standard deviation" if counts.max() > 1 else "one seed, no spread"
        figure.suptitle(f"{title}   (n = {n}; {band})", x=0.01, ha="left", fontsize=12)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 3))
    return figure


def draw_run(curves: pd.DataFrame, title: str) -> Figure:
    """The curves of one run: accuracies, losses, alpha and lr over steps.

    Args:
        curves: columns step, metric, value of one run.
        title: what the run is called.
    """
    panels = (
        (
            "accuracy",
            {record.SOURCE_ACCURACY: "#009E73", record.TARGET_ACCURACY: "#D55E00", record.DOMAIN_ACCURACY: "#0072B2"},
        ),
        ("loss (nats)", {record.LABEL_LOSS: "#009E73", record.DOMAIN_LOSS: "#0072B2"}),
        ("schedules", {record.ALPHA: ADVERSARY_COLOUR, record.LR: LR_COLOUR}),
    )
    by_metric = dict(list(curves.groupby("metric")))
    with styled():
        figure = Figure(figsize=(10, 3.2), dpi=100)
        figure.subplots_adjust(left=0.05, right=0.985, top=0.8, bottom=0.15, wspace=0.17)
        for axis, (heading, metrics) in zip(figure.subplots(1, 3), panels, strict=True):
            for metric, colour in metrics.items():
                if metric in by_metric:
                    points = by_metric[metric].sort_values("step")
                    axis.plot(points["step"], points["value"], color=colour, label=metric)
            if heading.startswith("loss") and record.DOMAIN_LOSS in by_metric:
                axis.axhline(math.log(2), color="#777777", linewidth=0.9, linestyle="--", label="ln 2")
            axis.set_title(heading, loc="left")
            axis.set_xlabel("step")
            if axis.lines:
                axis.legend(fontsize=9)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def _average(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    # Mean and spread over seeds: columns name, method, metric, step, progress, mean, sd.
    name = (runs["method"] + " " + runs["variant"]).str.strip().rename("name")
    steps = runs["param.steps"].astype(int).rename("steps")
    placed = curves.join(pd.concat([runs["method"], name, steps], axis=1), on="run_id", how="inner")
    placed["progress"] = placed["step"] / placed["steps"]
    cells = placed.groupby(["name", "method", "metric", "step", "progress"], sort=True)["value"]
    return cells.agg(mean="mean", sd="std").reset_index()


def _draw_line(axis: Axes, line: pd.DataFrame, name: str, look: dict) -> None:
    if line.empty:
        return
    axis.plot(line["step"], line["mean"], label=name, linewidth=1.8, **look)
    spread = line.dropna(subset="sd")
    if len(spread):
        axis.fill_between(
            spread["step"],
            spread["mean"] - spread["sd"],
            spread["mean"] + spread["sd"],
            color=look["color"],
            alpha=0.18,
            lw=0,
        )


def _mark_confusion(axis: Axes, lines: pd.DataFrame) -> None:
    if not (lines["metric"] == record.DOMAIN_LOSS).any():
        axis.text(0.5, 0.5, "no adversary in these runs", transform=axis.transAxes, ha="center", color="#777777")
        return
    axis.axhline(math.log(2), color="#777777", linewidth=1, linestyle="--")
    axis.annotate(
        "ln 2: domains confused, or adversary dead", (1, math.log(2)), (0, 3), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", va="bottom", fontsize=8.5, color="#555555",
    )  # fmt: skip


def _draw_schedules(axis: Axes, lines: pd.DataFrame) -> None:
    axis.set_title("Schedules", loc="left")
    axis.set_xlabel("progress = step / steps")
    axis.set_ylabel("alpha", color=ADVERSARY_COLOUR)
    right = axis.twinx()
    right.spines["right"].set_visible(True)
    right.grid(False)
    right.set_ylabel("lr", color=LR_COLOUR)
    right.tick_params(axis="y", colors=LR_COLOUR)
    for side, metric, colour, style in (
        (axis, record.ALPHA, ADVERSARY_COLOUR, "-"),
        (right, record.LR, LR_COLOUR, "--"),
    ):
        schedules = lines[lines["metric"] == metric]
        for number, (_, line) in enumerate(schedules.groupby("name", sort=False)):
            side.plot(
                line["progress"],
                line["mean"],
                color=colour,
                linestyle=style,
                linewidth=1.8,
                alpha=max(0.35, 1 - 0.2 * number),
            )
        if len(schedules):
            side.set_ylim(0, schedules["mean"].max() * 1.08 or 1)
