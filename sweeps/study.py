"""The study of a sweep: Optuna's journal file on disk, asked for trials by one worker at a time."""

import warnings
from pathlib import Path

import filelock
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from experiments.randomness import derive_seed
from experiments.record import runs_root
from sweeps.sweep import Sweep


def journal_of(sweep: Sweep) -> Path:
    """The file that holds the sweep's study."""
    return runs_root() / f"sweep_{sweep.name}.journal"


def open_study(sweep: Sweep, worker: int = 0) -> optuna.Study:
    """Open the sweep's study, created at first use.

    The sampler's seed follows from the worker's number and the trials so far: two workers, or the same one in a later
    call, would else begin with the same random trials. A sweep with one worker repeats itself exactly; with several,
    trials are told in the order in which they happen to end.
    """
    path = journal_of(sweep)
    path.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=sweep.name,
        storage=JournalStorage(JournalFileBackend(str(path))),
        direction="maximize",
        load_if_exists=True,
    )
    seed = derive_seed(worker, f"sampler after {len(study.get_trials(deepcopy=False))} trials") % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
    return study


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
        study.enqueue_trial(trial.params, user_attrs={"requeued_from": trial.number})
    return len(stale)


def requeued(study: optuna.Study) -> set[int]:
    """Numbers of failed trials that were queued again, and so do not count."""
    return {t.user_attrs["requeued_from"] for t in study.get_trials(deepcopy=False) if "requeued_from" in t.user_attrs}


def count_missing(study: optuna.Study, sweep: Sweep) -> int:
    """Trials that the sweep has yet to begin; a failed one has been begun."""
    begun = [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
    return max(0, sweep.trials - len(begun) + len(requeued(study)))


def ask_for_trial(study: optuna.Study, sweep: Sweep) -> optuna.Trial | None:
    """The next trial, or None when the sweep has all of its trials."""
    with filelock.FileLock(f"{journal_of(sweep)}.ask.lock"):
        return study.ask() if count_missing(study, sweep) else None
