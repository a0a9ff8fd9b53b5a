"""The objective against each parameter by itself."""

import math

import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.distributions import BaseDistribution, CategoricalDistribution

from sweeps.figures.base import by_family, family_of, find_floor, label_of, value_of
from sweeps.study import completed
from sweeps.sweep import Sweep

COLUMNS = 4


def draw(sweep: Sweep, study: optuna.Study) -> Figure | None:
    """A panel for each parameter, with the trials that have it; the scale is the one it was suggested on."""
    trials = completed(study)
    distributions = {name: each for trial in trials for name, each in trial.distributions.items()}
    if not distributions:
        return None
    columns = min(COLUMNS, len(distributions))
    rows = math.ceil(len(distributions) / columns)
    figure = Figure(figsize=(3.1 * columns + 1.6, 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    styles, floor = by_family(trials), find_floor(trials)
    for axes, (name, distribution) in zip(panels.flat, distributions.items(), strict=False):
        mine = [trial for trial in trials if name in trial.params]
        is_choice = isinstance(distribution, CategoricalDistribution)
        for family, (colour, marker, _) in styles.items():
            own = [trial for trial in mine if family_of(trial) == family]
            x = [str(trial.params[name]) if is_choice else trial.params[name] for trial in own]
            axes.scatter(
                x,
                [max(floor, value_of(trial)) for trial in own],
                color=colour,
                marker=marker,
                s=20,
                alpha=0.85,
                label=family,
            )
        if is_choice:
            axes.tick_params(axis="x", labelrotation=60)
        else:
            _scale(axes, distribution)
        axes.set_xlabel(name)
    for axes in list(panels.flat)[len(distributions) :]:
        axes.set_visible(False)
    figure.supylabel(label_of(sweep))
    if len(styles) > 1:
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside right center", fontsize=9)
    return figure


def _scale(axes: Axes, distribution: BaseDistribution) -> None:
    # The range that was searched, its middle marked.
    low, high = distribution.low, distribution.high  # type: ignore[attr-defined]
    if distribution.log:  # type: ignore[attr-defined]
        axes.set_xscale("log")
        middle, margin = math.sqrt(low * high), (high / low) ** 0.05
        axes.set_xlim(low / margin, high * margin)
    else:
        middle, margin = (low + high) / 2, (high - low) * 0.05
        axes.set_xlim(low - margin, high + margin)
    axes.set_xticks([low, middle, high], [f"{value:.3g}" for value in (low, middle, high)])
    axes.minorticks_off()
