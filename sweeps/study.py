"""A study as a source of runs: it asks Optuna for trials, hands out their runs and tells how they ended.

The driver's process alone writes the journal. A trial that it was killed in is gone on with: its parameters are in the
journal, its runs in their folders.
"""

import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from experiments.errors import BadInput
from experiments.experiment import Experiment, show_method
from experiments.randomness import derive_seed
from experiments.record.delivery import Destination, address, deliver_all
from experiments.record.files import read_json, writing_to
from experiments.record.folder import folder_of, is_finished, read_status
from experiments.record.names import EVALUATIONS, RESULT, SOURCE_ACCURACY, TARGET_ACCURACY, runs_root
from experiments.training.machine import AUTOMATIC, Machine
from experiments.work.bundles import Bundle, bundle
from experiments.work.courier import Courier
from experiments.work.driver import Ended
from sweeps.samplers import GridTrial, build_sampler
from sweeps.sweep import Sweep

TRY_AGAIN_S = 1.0
# Attributes of studies and trials.
IDENTITY, EXHAUSTED, SHOWN, RUNS, FAILURE = "identity", "exhausted", "shown", "runs", "failure"


def folder_of_study(study_name: str) -> Path:
    """Where a study's journal, figures and report lie."""
    return runs_root() / "studies" / study_name


def journal_of(study_name: str) -> Path:
    """The file that holds a study."""
    return folder_of_study(study_name) / "journal.log"


def list_studies(sweep_name: str) -> list[str]:
    """Names of the studies of a sweep that have been begun."""
    found = (runs_root() / "studies").glob(f"{sweep_name}-*/journal.log")
    return sorted(path.parent.name for path in found if path.parent.name.rpartition("-")[0] == sweep_name)


@contextmanager
def holding(sweep: Sweep) -> Iterator[None]:
    """Be the one driver of a sweep's study.

    Raises:
        BadInput: another process works on it, or the folder cannot be written.
    """
    path = journal_of(sweep.study_name)
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(path.parent / "held", timeout=0):
                _mend(path)
                yield
        except filelock.Timeout:
            raise BadInput(f"another process is working on sweep {sweep.study_name}") from None


def _mend(path: Path) -> None:
    """Cut a last line that a full disk or a kill has torn, and the lock that a killed driver has left.

    Raises:
        BadInput: a line before the last is damaged.
    """
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with path.open("r+b") as file:
            file.truncate(len(whole))
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            json.loads(line)
        except ValueError:
            raise BadInput(
                f"line {number} of {path} is damaged; move {path.parent} away to begin this study anew"
            ) from None


def open_study(study_name: str, *, create: bool = False) -> optuna.Study:
    """Open a study.

    Raises:
        BadInput: there is none and none is to be made.
    """
    path = journal_of(study_name)
    if not path.exists() and not create:
        raise BadInput(f"there is no study {study_name}: {path} does not exist")
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = JournalStorage(JournalFileBackend(str(path)))
    if study_name in optuna.get_all_study_names(storage):  # looking at a study writes nothing into its journal
        return optuna.load_study(study_name=study_name, storage=storage)
    return optuna.create_study(study_name=study_name, storage=storage, direction="maximize")


class Study:
    """The source of a sweep's runs.

    Args:
        sweep: What is searched.
        say: Receives a line about each trial that is told.
        machine: How the runs are computed.
        ordered: Tell results in the order of the trials, each just before the trial `ahead` further is asked for: the
            study then repeats itself bit for bit, at the cost of waiting for the slowest.
        ahead: How many trials are in work at once when ordered.
    """

    def __init__(
        self,
        sweep: Sweep,
        *,
        say: Callable[[str], None] = lambda line: None,
        machine: Machine = AUTOMATIC,
        ordered: bool = False,
        ahead: int = 1,
    ):
        self.sweep, self.say, self.machine, self.ordered, self.ahead = sweep, say, machine, ordered, ahead
        self.study = open_study(sweep.study_name, create=True)
        self._check_identity()
        self._waiting: list[Bundle] = []
        self._numbers: dict[str, int] = {}  # the trial that a run is trained for, by the run's hash
        self._open: dict[int, tuple[optuna.Trial, list[Experiment]]] = {}  # trials that are asked and not told
        self._later: list[tuple[float, Bundle]] = []  # in use by another process: when to try again
        self._finished: set[str] = set()
        self.begun = len(self._trials())
        for frozen in self._trials(TrialState.RUNNING):
            self._begin(optuna.Trial(self.study, frozen._trial_id))

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    def _check_identity(self) -> None:
        now = self.sweep.identity
        if IDENTITY not in self.study.user_attrs:
            self.study.set_user_attr(IDENTITY, now)
        elif (begun := self.study.user_attrs[IDENTITY]) != now:
            raise BadInput(f"study {self.sweep.study_name} was begun as {begun}, this sweep is {now}")

    @property
    def missing(self) -> int:
        """Trials that have not been asked for; a grid may end before."""
        if self.study.user_attrs.get(EXHAUSTED):
            return 0
        return max(0, self.sweep.search.trials - self.begun)

    @property
    def is_open(self) -> bool:
        return bool(self.missing or self._waiting or self._open)

    def next(self) -> Bundle | None:
        now_s = time.monotonic()
        self._waiting += [members for at_s, members in self._later if at_s <= now_s]
        self._later = [(at_s, members) for at_s, members in self._later if at_s > now_s]
        while not self._waiting and self.missing and self._may_ask():
            self._ask()
        return self._waiting.pop(0) if self._waiting else None

    def _may_ask(self) -> bool:
        if not self.ordered:
            return True
        while len(self._open) >= self.ahead:  # the oldest is told, if it has ended
            if not self._tell_if_ended(min(self._open)):
                return False
        return True

    def _ask(self) -> None:
        # A sampler of its own for each trial: a study that was interrupted goes on with the same suggestions.
        seed = derive_seed(self.sweep.search.seed, f"trial {self.begun}") % 2**32
        self.study.sampler = build_sampler(self.sweep.search.sampler, seed)
        self.begun += 1
        self._begin(self.study.ask())

    def _begin(self, trial: optuna.Trial) -> None:
        asked: Any = GridTrial(trial) if self.sweep.search.sampler == "grid" else trial
        experiment = self.sweep.suggest(self.sweep.recipe, asked)
        runs = self.sweep.experiments(experiment)
        if SHOWN not in trial.user_attrs:
            trial.set_user_attr(SHOWN, show_changes(self.sweep.recipe, experiment))
            trial.set_user_attr(RUNS, [run.hash for run in runs])
        self._open[trial.number] = (trial, runs)
        self._numbers |= {run.hash: trial.number for run in runs}
        for run in runs:
            address(folder_of(run.hash), self.destination(run))
        self._waiting += bundle(runs, self.machine)

    def told(self, ended: Ended) -> None:
        self._finished |= {run.hash for run in ended.members if run not in ended.in_use}
        self._later += [(time.monotonic() + TRY_AGAIN_S, (run,)) for run in ended.in_use]
        for number in [] if self.ordered and self.missing else sorted(self._open):
            if not self._tell_if_ended(number) and self.ordered:
                return

    def _tell_if_ended(self, number: int) -> bool:
        trial, runs = self._open[number]
        if not all(run.hash in self._finished for run in runs):
            return False
        del self._open[number]
        failure = next(filter(None, map(failure_of, runs)), "")
        if failure:  # a diverged run is a failed trial, never an accuracy of 0
            trial.set_user_attr(FAILURE, failure)
            self._tell(trial, state=TrialState.FAIL)
            self.say(f"trial {number}: {trial.user_attrs[SHOWN]} -> FAILED: {failure}")
            return True
        last = [read_last(run) for run in runs]
        curve = self.sweep.search.curve
        if any(curve not in values for values in last):
            raise BadInput(
                f"objective {self.sweep.search.objective} needs {curve}, which runs on {runs[0].pair} do not record"
            )
        for hindsight in (SOURCE_ACCURACY, TARGET_ACCURACY):
            trial.set_user_attr(hindsight, statistics.fmean(values[hindsight] for values in last))
        value = statistics.fmean(values[curve] for values in last)
        self._tell(trial, value)
        self.say(f"trial {number}: {trial.user_attrs[SHOWN]} -> {value:.4f}")
        return True

    def _tell(self, trial: optuna.Trial, value: float | None = None, state: TrialState | None = None) -> None:
        self.study.tell(trial, value, state=state)
        if getattr(self.study.sampler, "is_exhausted", False):
            self.study.set_user_attr(EXHAUSTED, True)

    def redeliver(self, courier: Courier) -> None:
        """Send every run of every trial to where it belongs: what has arrived is not sent again."""
        folders = [
            (folder_of(name), destination_of(self.sweep, trial.number))
            for trial in self._trials()
            for name in trial.user_attrs.get(RUNS, ())
            if folder_of(name).exists()
        ]
        for folder, destination in folders:
            address(folder, destination)
        courier.send(deliver_all, tuple(folder for folder, _ in folders))

    def title(self, experiment: Experiment) -> str:
        return f"trial {self._numbers[experiment.hash]} seed {experiment.seed}"

    def destination(self, experiment: Experiment) -> Destination:
        return destination_of(self.sweep, self._numbers[experiment.hash])


def destination_of(sweep: Sweep, number: int) -> Destination:
    """Where in MLflow the runs of a trial belong: below its trial, which is below its study."""
    return Destination(f"sweep_{sweep.name}", (sweep.study_name, f"trial {number}"))


def read_last(experiment: Experiment) -> dict[str, float]:
    """The numbers of a finished run's last evaluation."""
    result = read_json(folder_of(experiment.hash) / RESULT, needs=("last",))
    assert result is not None
    return result["last"]


def read_last_seen(experiment: Experiment, name: str) -> np.ndarray:
    """One array of what a finished run's last evaluation has left for validators."""
    with np.load(folder_of(experiment.hash) / EVALUATIONS) as arrays:
        return arrays[name][-1]


def failure_of(experiment: Experiment) -> str:
    """Why a run that has ended has no result; empty if it has one."""
    folder = folder_of(experiment.hash)
    if is_finished(folder):
        return ""
    status = read_status(folder)
    return status["message"] or status["status"] if status else "it was never begun"


def show_changes(recipe: Experiment, experiment: Experiment) -> str:
    """What a trial changed of its recipe, on one line; begins with the method's part."""
    before, after = recipe.flat(), experiment.flat()
    changed = {name for name, value in after.items() if before.get(name) != value}
    parts = [show_method(experiment.method)] if any(name.startswith("method") for name in changed) else []
    parts += [f"{name} {_short(after[name])}" for name in after if name in changed and not name.startswith("method")]
    return ", ".join(parts) or "the recipe as it is"


def _short(value: str) -> str:
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value


def suggested(sweep: Sweep, trial: FrozenTrial) -> Experiment:
    """The experiment of a trial, suggested again from its parameters in the journal."""
    fixed: Any = optuna.trial.FixedTrial(trial.params, trial.number)
    asked: Any = GridTrial(fixed) if sweep.search.sampler == "grid" else fixed
    return sweep.suggest(sweep.recipe, asked)
