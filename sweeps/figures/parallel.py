"""Whole settings at a glance: an axis for each parameter, a line for each trial."""

import math
from collections.abc import Sequence

import optuna
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from sweeps.figures.base import SCALE, find_floor, label_of, shade, value_of
from sweeps.study import completed
from sweeps.sweep import Sweep


def draw(sweep: Sweep, study: optuna.Study) -> Figure | None:
    """Parallel coordinates; a line has a dot on the axes of the parameters of its trial and ends at its objective."""
    trials = sorted(completed(study), key=value_of)
    axes_of = share_axes(trials)
    if len(axes_of) < 2:
        return None
    places = {name: place for place, names in enumerate(axes_of) for name in names}
    distributions = {name: each for trial in trials for name, each in trial.distributions.items()}
    shades, end = shade(trials), len(axes_of)
    low, high = find_floor(trials), value_of(trials[-1])
    figure = Figure(figsize=(1.7 * end + 2.5, 4.8), layout="constrained")
    axes = figure.subplots()
    for trial in trials:
        points = [(places[name], _height(distributions[name], value)) for name, value in trial.params.items()]
        points = [*sorted(points), (end, max(0.0, (value_of(trial) - low) / (high - low or 1.0)))]
        is_best = trial is trials[-1]
        axes.plot(
            *zip(*points, strict=True),
            color="#D55E00" if is_best else colormaps[SCALE](shades(value_of(trial))),
            linestyle="--" if is_best else "-",
            linewidth=2.4 if is_best else 1.0,
            marker=".",
            markersize=7,
        )
    beside = {"xytext": (5, 0), "textcoords": "offset points", "fontsize": 9, "va": "center"}
    for place, names in enumerate(axes_of):
        for height, text in _ticks(distributions[names[0]]):
            axes.annotate(text, (place, height), **beside)  # pyright: ignore[reportArgumentType]
    for height, value in ((0.0, low), (1.0, high)):
        axes.annotate(f"{value:.3g}", (end, height), **beside)  # pyright: ignore[reportArgumentType]
    for place in range(end + 1):
        axes.axvline(place, color="#666666", lw=0.8, zorder=0)
    axes.set_xticks(range(end + 1), [*map(_label, axes_of), "objective"], fontsize=9)
    axes.set(yticks=[], ylim=(-0.05, 1.05), xlim=(-0.2, end + 0.5))
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.grid(visible=False)
    figure.legend(
        axes.lines[len(trials) - 1 : len(trials)], [f"best: trial {trials[-1].number}"], loc="outside upper left"
    )
    figure.colorbar(ScalarMappable(shades, SCALE), ax=axes, label=label_of(sweep), extend="min")
    return figure


def share_axes(trials: Sequence[FrozenTrial]) -> list[list[str]]:
    """The parameters, by axis: those of one range that no trial has together share one."""
    shared: list[tuple[BaseDistribution, list[str]]] = []
    for name, distribution in {name: each for trial in trials for name, each in trial.distributions.items()}.items():
        for known, names in shared:
            apart = all(sum(each in trial.params for each in (*names, name)) < 2 for trial in trials)
            if known == distribution and apart:
                names.append(name)
                break
        else:
            shared.append((distribution, [name]))
    return [names for _, names in shared]


def _label(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0].replace(".", "\n")
    return "\n".join(dict.fromkeys(name.rpartition(".")[2] for name in names))


def _height(distribution: BaseDistribution, value: object) -> float:
    # Where on its axis a value lies, in [0, 1].
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices.index(value) / max(1, len(distribution.choices) - 1)  # type: ignore[arg-type]
    low, high = float(distribution.low), float(distribution.high)  # type: ignore[attr-defined]
    if distribution.log:  # type: ignore[attr-defined]
        return math.log(float(value) / low) / math.log(high / low)  # type: ignore[arg-type]
    return (float(value) - low) / (high - low or 1.0)  # type: ignore[arg-type]


def _ticks(distribution: BaseDistribution) -> list[tuple[float, str]]:
    if isinstance(distribution, CategoricalDistribution):
        return [(_height(distribution, choice), str(choice)) for choice in distribution.choices]
    ends = distribution.low, distribution.high  # type: ignore[attr-defined]
    return [(place, f"{value:.3g}") for place, value in zip((0.0, 1.0), ends, strict=True)]
