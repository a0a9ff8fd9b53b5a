"""How much of the objective's variance each parameter explains."""

import optuna
from matplotlib.figure import Figure

from sweeps.figures.base import COLOURS, label_of
from sweeps.report import importances
from sweeps.sweep import Sweep


def draw(sweep: Sweep, study: optuna.Study) -> Figure | None:
    """A bar for each parameter, the largest on top."""
    shares = importances(study)
    if len(shares) < 2:
        return None
    names, values = list(shares)[::-1], list(shares.values())[::-1]
    figure = Figure(figsize=(7, 1.2 + 0.4 * len(names)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(names, values, color=COLOURS[0], height=0.6)
    axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=4)
    axes.set(xlim=(0, max(values) * 1.15), xlabel=f"share of the variance of {label_of(sweep)} (fANOVA)")
    axes.grid(visible=False, axis="y")
    return figure
