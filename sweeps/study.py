"""A study as a source of runs: it asks Optuna for trials, hands out their runs and tells how they ended.

The driver's process alone writes the journal. A trial that it was killed in is gone on with: its parameters are in the
journal, its runs in their folders.
"""

import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from experiments.errors import BadInput
from experiments.experiment import Experiment, show_method
from experiments.record.delivery import Destination, address, deliver_all
from experiments.record.files import read_json, writing_to
from experiments.record.folder import folder_of, is_finished, mark_stopped, read_points, read_status
from experiments.record.names import EVALUATIONS, PER_STEP, RESULT, SOURCE_ACCURACY, runs_root
from experiments.saying import round_number
from experiments.training.machine import AUTOMATIC, Machine
from experiments.validators import score_steps
from experiments.work.bundles import Bundle, bundle
from experiments.work.courier import Courier
from experiments.work.driver import Ended
from sweeps.journal import Journal, mend
from sweeps.pruning import Stage, build_pruner, plan_stages
from sweeps.samplers import Grid, GridTrial, build_sampler
from sweeps.sweep import Search, Sweep

TRY_AGAIN_S = 1.0
# Attributes of studies and trials.
IDENTITY, EXHAUSTED = "identity", "exhausted"
SHOWN, RUNS, FAILURE, START = "shown", "runs", "failure", "start"
HELD, HELD_S = "held", 1.0  # longer than whoever looks whether it is held


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
            with filelock.FileLock(path.parent / HELD, timeout=HELD_S):
                mend(path)
                yield
        except filelock.Timeout:
            raise BadInput(f"another process is working on sweep {sweep.study_name}") from None


def completed(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have a value, in their order."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def is_held(study_name: str) -> bool:
    """Whether a driver is at work on a study."""
    path = folder_of_study(study_name) / HELD
    try:
        with filelock.FileLock(path, timeout=0):
            return False
    except (filelock.Timeout, OSError):  # a folder that cannot be written is somebody else's
        return path.exists()


def open_study(study_name: str, *, create: bool = False) -> optuna.Study:
    """Open a study; whoever only looks at one writes nothing into its journal.

    Raises:
        BadInput: there is none and none is to be made.
    """
    return _load(study_name, create=create)[0]


def _load(study_name: str, *, create: bool) -> tuple[optuna.Study, Journal]:
    path = journal_of(study_name)
    if not path.exists() and not create:
        raise BadInput(f"there is no study {study_name}: {path} does not exist")
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = JournalStorage(journal := Journal(path))
    if study_name in optuna.get_all_study_names(storage):
        return optuna.load_study(study_name=study_name, storage=storage), journal
    return optuna.create_study(study_name=study_name, storage=storage, direction="maximize"), journal


@dataclass
class Opened:
    """A trial that is asked for and not told.

    Attributes:
        trial: Optuna's.
        stages: What is trained of it, one after the other.
        place: The stage that is in work.
        due: When that ends, by the clock of an ordered study, which counts steps.
        left: Hashes of the runs that the pool has not given back in this stage.
    """

    trial: optuna.Trial
    stages: list[Stage]
    place: int
    due: int
    left: set[str] = field(default_factory=set)

    @property
    def stage(self) -> Stage:
        return self.stages[self.place]


class Study:
    """The source of a sweep's runs.

    Args:
        sweep: What is searched.
        say: Receives a line about each trial that is told.
        machine: How the runs are computed.
        ordered: Judge trials in the order in which `ahead` equally fast workers would end them, and ask for another one
            only then: the study repeats itself bit for bit, at the cost of waiting for the slowest.
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
        self.study, self._journal = _load(sweep.study_name, create=True)
        self._check_identity()
        self.study.pruner = build_pruner(sweep.search, sweep.recipe)
        self._waiting: list[Bundle] = []
        self._until: dict[Bundle, int | None] = {}
        self._numbers: dict[str, int] = {}  # the trial that a run is trained for, by the run's hash
        self._open: dict[int, Opened] = {}
        self._later: list[tuple[float, Bundle]] = []  # in use by another process: when to try again
        self._now = 0  # the clock of an ordered study
        trials = self._trials()
        self.begun = len(trials)
        self._seed_sampler()
        self._note_end()
        for frozen in trials:
            stages = plan_stages(sweep.search, sweep.experiments(suggested(sweep, frozen)))
            judged = len(frozen.intermediate_values)
            judged = {TrialState.COMPLETE: len(stages), TrialState.FAIL: judged + 1}.get(frozen.state, judged)
            ends = frozen.user_attrs.get(START, 0) + _steps(stages[:judged])
            self._now = max(self._now, ends)
            if frozen.state == TrialState.RUNNING:
                self._begin(Opened(optuna.Trial(self.study, frozen._trial_id), stages, judged, ends))

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    def _check_identity(self) -> None:
        now = self.sweep.identity
        if IDENTITY not in self.study.user_attrs:
            self.study.set_user_attr(IDENTITY, now)
        elif (begun := self.study.user_attrs[IDENTITY]) != now:
            raise BadInput(f"study {self.sweep.study_name} was begun as {begun}, this sweep is {now}")

    def _seed_sampler(self) -> None:
        search = self.sweep.search
        self.study.sampler = build_sampler(search.sampler, search.seed, self.begun)

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

    def until(self, members: Bundle) -> int | None:
        return self._until.get(members)

    def _may_ask(self) -> bool:
        if not self.ordered:
            return True
        while len(self._open) >= self.ahead:
            if not self._judge_if_ended(self._first()):
                return False
        return True

    def _first(self) -> int:
        # Of the open trials, the one whose stage ends first.
        return min(self._open, key=lambda number: (self._open[number].due, number))

    def _ask(self) -> None:
        self._seed_sampler()
        with self._journal.together():
            trial = self.study.ask()
            experiment = _suggest(self.sweep, trial)
            runs = self.sweep.experiments(experiment)
            trial.set_user_attr(SHOWN, show_changes(self.sweep.recipe, experiment))
            trial.set_user_attr(RUNS, [run.hash for run in runs])
            if self.ordered:
                trial.set_user_attr(START, self._now)
        self.begun += 1
        self._note_end()
        self._begin(Opened(trial, plan_stages(self.sweep.search, runs), 0, self._now))

    def _begin(self, opened: Opened) -> None:
        """Hand out the stage that a trial is in."""
        self._open[opened.trial.number] = opened
        opened.due += opened.stage.steps
        self._hand_out(opened, opened.stage.runs)

    def _hand_out(self, opened: Opened, runs: Sequence[Experiment], after_s: float = 0.0) -> None:
        opened.left |= {run.hash for run in runs}
        self._numbers |= {run.hash: opened.trial.number for run in runs}
        members = bundle(runs, self.machine)
        self._until |= dict.fromkeys(members, opened.stage.until)
        self._waiting += [] if after_s else members
        self._later += [(time.monotonic() + after_s, each) for each in members] if after_s else []

    def told(self, ended: Ended) -> None:
        done = {run.hash for run in ended.members if run not in ended.in_use}
        for opened in self._open.values():
            opened.left -= done
        for run in ended.in_use:
            self._until[run,] = self._until[ended.members]
            self._later.append((time.monotonic() + TRY_AGAIN_S, (run,)))
        if self.ordered and self.missing:
            return  # judged as late as before the next trial is asked for
        while self._open and self.ordered and self._judge_if_ended(self._first()):
            pass
        for number in [] if self.ordered else sorted(self._open):
            self._judge_if_ended(number)

    def _judge_if_ended(self, number: int) -> bool:
        """Judge a trial whose stage has ended: it goes on, is given up, or has its value."""
        opened = self._open[number]
        if opened.left:
            return False
        trial, stage = opened.trial, opened.stage
        self._now = max(self._now, opened.due)
        if failure := next(filter(None, map(failure_of, stage.runs)), ""):
            with self._journal.together():  # a diverged run is a failed trial, never an accuracy of 0
                self._give_up(opened, TrialState.FAIL, failure)
            return True
        scores = [read_scores(run, stage.until, self.sweep.search) for run in stage.runs]
        if any(each is None for each in scores):  # whoever trained it was stopped before the stage's end
            again = [run for run, each in zip(stage.runs, scores, strict=True) if each is None]
            self._hand_out(opened, again, TRY_AGAIN_S)
            return False
        seen = [each for each in scores if each is not None]
        if any(self.sweep.search.curve not in each for each in seen):
            self._fail_unscored(opened)
            return True
        value = _mean(seen, self.sweep.search.curve)
        with self._journal.together():
            if self.sweep.search.pruner != "none":
                trial.report(value, stage.mark)
            if stage is opened.stages[-1]:
                self._complete(opened)
                return True
            if trial.should_prune():
                of_all = f"seed {stage.mark}" if stage.until is None else f"step {stage.until} of {stage.runs[0].steps}"
                self._give_up(opened, TrialState.PRUNED, f"pruned after {of_all} with {value:.4f}")
                return True
        opened.place += 1
        self._begin(opened)
        return True

    def _complete(self, opened: Opened) -> None:
        trial = opened.trial
        runs = dict.fromkeys(run for stage in opened.stages for run in stage.runs)
        scores = [read_last(run, self.sweep.search) for run in runs]
        for name in sorted(set.intersection(*map(set, scores))):
            trial.set_user_attr(name, _mean(scores, name))
        value = _mean(scores, self.sweep.search.curve)
        self._tell(opened, value)
        self.say(f"trial {trial.number}: {trial.user_attrs[SHOWN]} -> {value:.4f}")

    def _fail_unscored(self, opened: Opened) -> None:
        # Arrays that are not finite have no score. If no evaluation ever had one, no trial will have.
        search, runs = self.sweep.search, opened.stage.runs
        needs = f"objective {search.objective} needs {search.curve}, which"
        with self._journal.together():
            self._give_up(opened, TrialState.FAIL, f"{needs} the evaluation of a run lacks")
        points = (point for run in runs for point in read_points(folder_of(run.hash)))
        if not completed(self.study) and not any(search.curve in point["values"] for point in points):
            raise BadInput(f"{needs} runs on {runs[0].pair} do not record")

    def _give_up(self, opened: Opened, state: TrialState, reason: str) -> None:
        for run in opened.stage.runs:
            mark_stopped(folder_of(run.hash), reason if state == TrialState.PRUNED else "another seed has failed")
        trial = opened.trial
        trial.set_user_attr(FAILURE, reason)
        self._tell(opened, state=state)
        self.say(
            f"trial {trial.number}: {trial.user_attrs[SHOWN]} -> {'FAILED: ' * (state == TrialState.FAIL)}{reason}"
        )

    def _tell(self, opened: Opened, value: float | None = None, state: TrialState | None = None) -> None:
        del self._open[opened.trial.number]
        self.study.tell(opened.trial, value, state=state)

    def _note_end(self) -> None:
        sampler, trials = self.study.sampler, self._trials()
        if isinstance(sampler, Grid) and trials and sampler.is_over(self.study, trials[-1]):
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


def _mean(scores: Sequence[Mapping[str, float]], name: str) -> float:
    return statistics.fmean(values[name] for values in scores)


def _steps(stages: Sequence[Stage]) -> int:
    return sum(stage.steps for stage in stages)


def destination_of(sweep: Sweep, number: int) -> Destination:
    """Where in MLflow the runs of a trial belong: below its trial, which is below its study."""
    return Destination(f"sweep_{sweep.name}", (sweep.study_name, f"trial {number}"))


def read_last(experiment: Experiment, search: Search) -> dict[str, float]:
    """The numbers of a finished run's last evaluation, with the score of an objective that runs do not record.

    Raises:
        BadInput: the run is gone, or has not left what the objective needs.
    """
    result = read_json(_there(experiment, RESULT), needs=("last",))
    assert result is not None
    if not search.is_own:
        return result["last"]
    [score] = score_steps(search.objective, {experiment.steps: read_last_seen(experiment)}).values()
    return result["last"] | ({search.curve: score} if math.isfinite(score) else {})


def read_last_seen(experiment: Experiment) -> dict[str, np.ndarray]:
    """What a finished run's last evaluation has left for validators.

    Raises:
        BadInput: the run is gone.
    """
    with np.load(_there(experiment, EVALUATIONS)) as arrays:
        return {name: arrays[name][-1] if name in PER_STEP else arrays[name] for name in arrays}


def _there(experiment: Experiment, name: str) -> Path:
    if not (path := folder_of(experiment.hash) / name).exists():
        raise BadInput(f"{path} is gone, which a trial of this sweep left there; bring it back")
    return path


def read_scores(experiment: Experiment, step: int | None, search: Search) -> dict[str, float] | None:
    """What a run's evaluation after `step`, or its last one, has measured; None where it did not come so far."""
    folder = folder_of(experiment.hash)
    if step is None:
        return read_last(experiment, search) if is_finished(folder) else None
    scores: dict[str, float] = {}
    for point in read_points(folder):
        if point["step"] == step:
            scores |= point["values"]
    return scores if SOURCE_ACCURACY in scores else None


def failure_of(experiment: Experiment) -> str:
    """Why a run has failed; empty if it has not."""
    status = read_status(folder_of(experiment.hash))
    return status["message"] or "it failed" if status and status["status"] == "FAILED" else ""


def show_changes(recipe: Experiment, experiment: Experiment) -> str:
    """What a trial changed of its recipe, on one line; begins with the method's part."""
    before, after = recipe.flat(), experiment.flat()
    changed = {name for name, value in after.items() if before.get(name) != value}
    parts = [show_method(experiment.method)] if any(name.startswith("method") for name in changed) else []
    parts += [
        f"{name} {round_number(after[name], 4)}" for name in after if name in changed and not name.startswith("method")
    ]
    return ", ".join(parts) or "the recipe as it is"


def draw_setting(sweep: Sweep) -> Experiment:
    """An experiment that the sweep may suggest, drawn at random; no study keeps it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=sweep.search.seed))
    return _suggest(sweep, study.ask())


def _suggest(sweep: Sweep, trial: Any) -> Experiment:
    asked: Any = GridTrial(trial) if sweep.search.sampler == "grid" else trial
    return sweep.suggest(sweep.recipe, asked)


def suggested(sweep: Sweep, trial: FrozenTrial) -> Experiment:
    """The experiment of a trial, suggested again from its parameters in the journal.

    Raises:
        BadInput: the space is no longer that which the trial is from.
    """
    fixed = optuna.trial.FixedTrial(trial.params, trial.number)
    space = f"sweep {sweep.name} has another space now than trial {trial.number} of study {sweep.study_name}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a value out of range: it is said below
            experiment = _suggest(sweep, fixed)
    except ValueError as error:  # a parameter that it has not, or a choice that is none
        raise BadInput(f"{space}: {error}; give it another name") from None
    for name, before in trial.distributions.items():
        if (now := fixed.distributions.get(name)) != before:
            raise BadInput(f"{space}: {name} was {before} and is {now}; give it another name")
    return experiment
