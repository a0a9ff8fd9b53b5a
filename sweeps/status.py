"""How far a study is: read from its journal and from the folders of its runs, by anyone, while it runs or not."""

import statistics
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

import optuna
from optuna.trial import FrozenTrial, TrialState

from experiments.errors import BadInput
from experiments.record.files import read_json
from experiments.record.folder import folder_of, read_status
from experiments.record.names import PROGRESS
from sweeps.study import EXHAUSTED, FAILURE, SHOWN, is_held, journal_of, list_studies, open_study, suggested
from sweeps.sweep import Sweep


def describe_status(sweep: Sweep) -> Iterator[str]:
    """Lines that say what runs, what has ended and how, and about how long the rest takes.

    Raises:
        BadInput: the study has not been begun.
    """
    study = open_begun(sweep)
    trials = study.get_trials(deepcopy=False)
    at_work = is_held(sweep.study_name)
    counts = {state: sum(trial.state == state for trial in trials) for state in TrialState}
    begun = f"{len(trials)} of {sweep.search.trials} trials begun"
    ended = (
        f"{counts[TrialState.COMPLETE]} complete, {counts[TrialState.PRUNED]} pruned, {counts[TrialState.FAIL]} failed"
    )
    yield f"study {sweep.study_name}: {begun}; {ended}"
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            yield f"  trial {trial.number}, {trial.user_attrs.get(SHOWN, '')}: {', '.join(_progress(sweep, trial))}"
    for trial in trials:
        if trial.state == TrialState.FAIL:
            yield f"  trial {trial.number} failed: {trial.user_attrs.get(FAILURE, '')}"
    if not at_work:
        unasked = 0 if study.user_attrs.get(EXHAUSTED) else sweep.search.trials - len(trials)
        missing = unasked + counts[TrialState.RUNNING]
        yield f"nobody is at work; go on with: {sweep.command('run')}" if missing > 0 else "done"
    elif left_s := estimate_left_s(sweep, trials):
        yield f"at work; about {_show_s(left_s)} left"
    else:
        yield "at work; how long it takes is known when the first trial has ended"


def open_begun(sweep: Sweep) -> optuna.Study:
    """The study of a sweep.

    Raises:
        BadInput: it has not been begun; naming those of the sweep that have.
    """
    if not journal_of(sweep.study_name).exists():
        others = ", ".join(list_studies(sweep.name))
        hint = f"; begun with other options: {others}" if others else ""
        raise BadInput(f"sweep {sweep.name} has no trial yet; start it with: {sweep.command('run')}{hint}")
    return open_study(sweep.study_name)


def _progress(sweep: Sweep, trial: FrozenTrial) -> Iterator[str]:
    for run in sweep.experiments(suggested(sweep, trial)):
        with suppress(BadInput):  # half written: it is only shown
            status = read_status(folder_of(run.hash))
            seen = read_json(folder_of(run.hash) / PROGRESS, needs=("step",))
            word = status["status"].lower() if status else "waits"
            yield f"seed {run.seed} " + (f"step {seen['step']} of {run.steps}" if seen else word)


def estimate_left_s(sweep: Sweep, trials: list[FrozenTrial]) -> float | None:
    """Seconds until the last trial ends, at the pace of those that have; None before any has."""
    ended = [trial for trial in trials if trial.datetime_complete and trial.datetime_start]
    open_ones = [trial for trial in trials if trial.state == TrialState.RUNNING]
    if not ended or not open_ones:
        return None
    each_s = statistics.fmean((t.datetime_complete - t.datetime_start).total_seconds() for t in ended)  # type: ignore
    now = datetime.now()
    spent_s = sum(min(each_s, (now - t.datetime_start).total_seconds()) for t in open_ones if t.datetime_start)
    left = max(0, sweep.search.trials - len(trials)) + len(open_ones)
    return (left * each_s - spent_s) / len(open_ones)


def _show_s(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{round(seconds)} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
