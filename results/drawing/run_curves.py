"""Figure of one run alone, small enough to be drawn for every run."""

import math

import pandas as pd
from matplotlib.figure import Figure

from experiments.record import names
from results.drawing.base import GREY, styled

_PANELS = {
    "accuracy": {
        names.SOURCE_ACCURACY: "#009E73",
        names.TARGET_ACCURACY: "#D55E00",
        names.DOMAIN_ACCURACY: "#0072B2",
    },
    "loss (nats)": {names.LABEL_LOSS: "#009E73", names.DOMAIN_LOSS: "#0072B2"},
    "schedules": {names.ALPHA: "#333333", names.LR: "#AA4499"},
}


def draw_run(curves: pd.DataFrame, title: str) -> Figure:
    """The curves of one run over steps: accuracies, losses, alpha and lr.

    Args:
        curves: columns step, metric, value of one run.
        title: what the run is called.
    """
    by_metric = {str(metric): points.sort_values("step") for metric, points in curves.groupby("metric")}
    with styled():
        figure = Figure(figsize=(10, 3.2))
        # Fixed margins: fitting them to the labels would take longer than the drawing.
        figure.subplots_adjust(left=0.05, right=0.985, top=0.8, bottom=0.16, wspace=0.17)
        for axis, (heading, metrics) in zip(figure.subplots(1, 3), _PANELS.items(), strict=True):
            axis.set_title(heading, loc="left")
            axis.set_xlabel("step")
            recorded = [metric for metric in metrics if metric in by_metric]
            for metric in recorded:
                points = by_metric[metric]
                axis.plot(points["step"], points["value"], color=metrics[metric], label=metric)
            if names.DOMAIN_LOSS in recorded:
                axis.axhline(math.log(2), color=GREY, linewidth=0.9, linestyle="--", label="ln 2")
            if recorded:
                axis.legend(fontsize=9)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure
