"""One figure per study: the objective trial by trial, and whether it agrees with what it could not see."""

from pathlib import Path

import optuna
from matplotlib.figure import Figure
from optuna.trial import TrialState

from experiments.record.files import write_atomically
from experiments.record.names import TARGET_ACCURACY
from results.drawing.base import styled, to_png
from sweeps.sweep import Sweep

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666", "#AA4499")


def draw_sweep(sweep: Sweep, study: optuna.Study, folder: Path) -> Path:
    """Draw the finished trials into `<folder>/sweep_<name>.png` and return its path."""
    with styled():
        content = to_png(_draw(sweep, study), dpi=110)
    path = folder / f"sweep_{sweep.name}.png"
    write_atomically(path, content)
    return path


def _draw(sweep: Sweep, study: optuna.Study) -> Figure:
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    kinds = sorted({trial.params.get("schedule", "") for trial in trials})
    label = sweep.search.objective.replace("_", " ")
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    over_trials, agreement = figure.subplots(1, 2)
    for place, kind in enumerate(kinds):
        colour = COLOURS[place % len(COLOURS)]
        mine = [trial for trial in trials if trial.params.get("schedule", "") == kind]
        values = [trial.value for trial in mine]
        over_trials.scatter([trial.number for trial in mine], values, color=colour, label=kind or "trials")
        agreement.scatter(values, [trial.user_attrs[TARGET_ACCURACY] for trial in mine], color=colour)
    best = study.best_trial
    for axes, x, y in (
        (over_trials, best.number, best.value),
        (agreement, best.value, best.user_attrs[TARGET_ACCURACY]),
    ):
        axes.scatter([x], [y], s=140, facecolors="none", edgecolors="black", label="best")
    seen = "uses target labels" if sweep.search.sees_target_labels else "no target label"
    over_trials.set(xlabel="trial", ylabel=label, title=f"objective ({seen})")
    over_trials.xaxis.get_major_locator().set_params(integer=True)
    over_trials.legend(fontsize=8)
    agreement.set(xlabel=label, ylabel="target test accuracy", title="in hindsight: does the objective agree?")
    return figure
