"""The alpha schedules that were tried, coloured by what they achieved."""

import numpy as np
import optuna
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from experiments.methods import Adversarial
from sweeps.figures.base import SCALE, label_of, shade, value_of
from sweeps.study import completed, suggested
from sweeps.sweep import Sweep

POINTS = 400


def draw(sweep: Sweep, study: optuna.Study) -> Figure | None:
    """alpha over progress, a line a trial; the better ones lie above, the best is dashed in red."""
    trials = sorted(completed(study), key=value_of)
    methods = [(trial, suggested(sweep, trial).method) for trial in trials]
    if not all(isinstance(method, Adversarial) for _, method in methods):
        return None
    progress, steps = np.linspace(0, 1, POINTS), sweep.recipe.steps
    shades = shade(trials)
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axes = figure.subplots()
    for trial, method in methods:
        assert isinstance(method, Adversarial)
        course = [method.alpha(float(share), step=int(share * steps)) for share in progress]
        axes.plot(progress, course, color=colormaps[SCALE](shades(value_of(trial))), lw=1.2, alpha=0.9)
        if trial is trials[-1]:
            axes.plot(progress, course, color="#D55E00", lw=2.2, ls="--", label=f"best: trial {trial.number}")
    axes.set(xlabel="progress of the training", ylabel="alpha", xlim=(0, 1))
    axes.set_yscale("symlog", linthresh=0.01)
    axes.set_ylim(bottom=0)
    figure.colorbar(ScalarMappable(shades, SCALE), ax=axes, label=label_of(sweep), extend="min")
    figure.legend(loc="outside upper left")
    return figure
