"""The study of a sweep: Optuna's journal file on disk, asked for trials by one worker at a time."""

import warnings
from pathlib import Path

import filelock
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from experiments.record import runs_root
from sweeps.sweep import Sweep


def journal_of(sweep: Sweep) -> Path:
    """The file that holds the sweep's study."""
    return runs_root() / f"sweep_{sweep.name}.journal"


def open_study(sweep: Sweep, sampler_seed: int = 0) -> optuna.Study:
    """Open the sweep's study, created at first use.

    Args:
        sampler_seed: differs between workers, or they would all begin with the same random trials. A sweep with one
            worker repeats itself exactly; with several, trials are told in the order in which they happen to end.
    """
    path = journal_of(sweep)
    path.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=sampler_seed, multivariate=True, group=True, constant_liar=True)
    return optuna.create_study(
        study_name=sweep.name,
        storage=JournalStorage(JournalFileBackend(str(path))),
        sampler=sampler,
        direction="maximize",
        load_if_exists=True,
    )


def requeue_stale(study: optuna.Study) -> int:
    """Fail the trials that a killed worker left running, and queue their parameters again.

    A trial that stays RUNNING would repel the sampler from its parameters for ever. To be called only while no worker
    works on the study.

    Returns:
        How many there were.
    """
    stale = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in stale:
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params, user_attrs={"requeued_from": trial.number})
    return len(stale)


def requeued(study: optuna.Study) -> set[int]:
    """Numbers of failed trials that were queued again, and so do not count."""
    return {t.user_attrs["requeued_from"] for t in study.get_trials(deepcopy=False) if "requeued_from" in t.user_attrs}


def ask_for_trial(study: optuna.Study, sweep: Sweep) -> optuna.Trial | None:
    """The next trial, or None when the sweep has all of its trials."""
    with filelock.FileLock(f"{journal_of(sweep)}.ask.lock"):
        begun = [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
        if len(begun) - len(requeued(study)) >= sweep.trials:
            return None
        return study.ask()
