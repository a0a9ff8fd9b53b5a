"""The objective trial by trial with the best so far, and whether it agrees with what it could not see."""

import optuna
from matplotlib.figure import Figure
from optuna.trial import TrialState

from sweeps.figures.base import GREY, by_family, find_floor, label_of, value_of
from sweeps.study import completed
from sweeps.sweep import Sweep


def draw(sweep: Sweep, study: optuna.Study) -> Figure | None:
    """Two panels: over the trials, those given up among them, and against the target accuracy."""
    trials = completed(study)
    figure = Figure(figsize=(10, 4), layout="constrained")
    over_trials, agreement = figure.subplots(1, 2)
    floor = find_floor(trials)
    for family, (colour, marker, mine) in by_family(trials).items():
        values = [max(floor, value_of(trial)) for trial in mine]
        style = {"color": colour, "marker": marker, "s": 26, "alpha": 0.85}
        over_trials.scatter([trial.number for trial in mine], values, label=family or "complete", **style)
        agreement.scatter(values, [trial.user_attrs[sweep.search.reported] for trial in mine], **style)
    bests = [max(floor, *map(value_of, trials[: place + 1])) for place in range(len(trials))]
    over_trials.step([trial.number for trial in trials], bests, where="post", color=GREY, lw=1, label="best so far")
    pruned = study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    known = [trial for trial in pruned if trial.value is not None]
    if known:
        where = [trial.number for trial in known], [max(floor, trial.value or 0.0) for trial in known]
        over_trials.scatter(*where, marker="x", s=22, lw=1, color=GREY, label="pruned, at its last look")
    worse = sum(value_of(trial) < floor for trial in trials)
    edge = f"\n({worse} worse at the lower edge)" if worse else ""
    best = study.best_trial
    for axes, x, y in (
        (over_trials, best.number, best.value),
        (agreement, best.value, best.user_attrs[sweep.search.reported]),
    ):
        axes.scatter([x], [y], s=150, facecolors="none", edgecolors="black", label="best")
    over_trials.set(xlabel="trial", ylabel=label_of(sweep) + edge, title="objective by trial")
    over_trials.xaxis.get_major_locator().set_params(integer=True)
    agreement.set(xlabel=label_of(sweep), ylabel="target test accuracy", title="in hindsight: does it agree?")
    figure.legend(*over_trials.get_legend_handles_labels(), loc="outside right center", fontsize=9)
    return figure
