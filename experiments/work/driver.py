"""One driver for many runs: a source gives them and takes results, a pool trains them, the run folders tell the rest.

    while source.is_open or pool.is_busy:
        while pool.is_free and (members := source.next()):
            pool.submit(members, source.until(members))
        for ended in pool.ended(wait_s):
            source.told(ended)

Workers only write to run folders. Progress is read from there and delivery to MLflow starts there, so both are the same
whoever trains and wherever.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console

from experiments.errors import BadInput, WorkerDied
from experiments.experiment import Experiment
from experiments.record import names
from experiments.record.delivery import Destination, address, deliver, deliver_all
from experiments.record.files import read_json, writing_to
from experiments.record.folder import folder_of, is_finished, read_status
from experiments.saying import say
from experiments.work.bundles import Bundle, title_of
from experiments.work.changes import uncommitted_changes
from experiments.work.courier import Courier
from experiments.work.done import is_done
from experiments.work.pairs import find_change
from experiments.work.progress import RunProgress

WAIT_S = 0.2
DELIVER_EVERY_S = 2.0


@dataclass(frozen=True)
class Ended:
    """A bundle that a pool has given back.

    Attributes:
        members: Its runs; how each of them ended is in its folder.
        in_use: Those that another process is training.
        error: What a person has to mend before any run can be trained; empty if nothing.
        died: Why the worker is gone; empty if it is not.
    """

    members: Bundle
    in_use: tuple[Experiment, ...] = ()
    error: str = ""
    died: str = ""


class Source(Protocol):
    """Where runs come from."""

    @property
    def is_open(self) -> bool:
        """Whether it may still give runs, now or after being told of others."""
        ...

    def next(self) -> Bundle | None:
        """The next runs to train; None where there are none, or none yet."""
        ...

    def until(self, members: Bundle) -> int | None:
        """The step after which these stop, with a checkpoint, and are given back; None for their end."""
        ...

    def told(self, ended: Ended) -> None:
        """These have ended."""
        ...

    def title(self, experiment: Experiment) -> str:
        """What a run is called in progress lines."""
        ...

    def destination(self, experiment: Experiment) -> Destination:
        """Where in MLflow a run belongs."""
        ...


class Pool(Protocol):
    """Who trains."""

    @property
    def is_free(self) -> bool:
        """Whether it can take another bundle now."""
        ...

    @property
    def is_busy(self) -> bool:
        """Whether a bundle is being trained."""
        ...

    def submit(self, members: Bundle, until: int | None = None) -> None:
        """Begin to train a bundle, up to a step or to its end."""
        ...

    def ended(self, wait_s: float) -> list[Ended]:
        """The bundles that have ended since the last call; waits so long for one."""
        ...

    def stop(self) -> None:
        """Have every worker write its checkpoints and end; wait for them."""
        ...


@dataclass
class Outcome:
    """What became of the runs of a source."""

    trained: int = 0
    skipped: int = 0
    in_use: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    undelivered: str = ""
    interrupted: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether every run is done, delivered or not."""
        return not (self.failed or self.in_use or self.interrupted)

    @property
    def exit_code(self) -> int:
        """0 if every run is done and delivered."""
        if self.interrupted:
            return 130
        return 0 if self.is_complete and not self.undelivered else 1


class Listed:
    """A list of experiments as a source, for one MLflow experiment."""

    def __init__(self, bundles: Sequence[Bundle], experiment_name: str):
        self._waiting = list(bundles)
        self._destination = Destination(experiment_name)
        self.in_use: list[Experiment] = []

    @property
    def is_open(self) -> bool:
        return bool(self._waiting)

    def next(self) -> Bundle | None:
        return self._waiting.pop(0) if self._waiting else None

    def until(self, members: Bundle) -> None:
        return None

    def told(self, ended: Ended) -> None:
        self.in_use += ended.in_use

    def title(self, experiment: Experiment) -> str:
        return experiment.title

    def destination(self, experiment: Experiment) -> Destination:
        return self._destination


def work(source: Source, pool: Pool, courier: Courier, progress: RunProgress, outcome: Outcome) -> None:
    """Train what a source gives until it has no more; Ctrl-C, SIGTERM and SIGHUP let every run write its checkpoint.

    Raises:
        BadInput: a worker found an input it cannot use.
        WorkerDied: a worker ended without saying why.
    """
    shown = _Shown(source, courier, progress, outcome)
    with _signals_as_interrupts():
        try:
            while source.is_open or pool.is_busy:
                while pool.is_free and (members := source.next()):
                    shown.begin(members)
                    pool.submit(members, source.until(members))
                for ended in pool.ended(WAIT_S):
                    shown.end(ended)
                    source.told(ended)
                    if ended.error:
                        raise BadInput(ended.error)
                    if ended.died:
                        raise WorkerDied(ended.died)
                shown.look()
        except KeyboardInterrupt:
            outcome.interrupted = True
        finally:
            pool.stop()
            for ended in pool.ended(0):
                shown.end(ended)
            shown.leave()


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP, which a closed terminal or a cluster sends, are Ctrl-C; under nohup they are nothing."""
    before: dict[Any, Any] = {}
    with suppress(ValueError):  # not in the main thread: nobody's signals
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Shown:
    """What a person sees of the runs in work, and what MLflow gets of them."""

    def __init__(self, source: Source, courier: Courier, progress: RunProgress, outcome: Outcome):
        self.source, self.courier, self.progress, self.outcome = source, courier, progress, outcome
        self.at_work: dict[Bundle, dict[Experiment, float]] = {}  # when what was sent last was written
        self.looked_s = self.delivered_s = time.monotonic()

    def begin(self, members: Bundle) -> None:
        """A bundle is handed to the pool."""
        for experiment in members:
            address(folder_of(experiment.hash), self.source.destination(experiment))
        self.at_work[members] = dict.fromkeys(members, 0.0)
        first = members[0]
        title = self.source.title(first) if len(members) == 1 else title_of(members)
        self.progress.start(members, title, first.steps)

    def look(self) -> None:
        """Show how far the bundles are, and send what they have made final."""
        now_s = time.monotonic()
        for members in self.at_work:
            with suppress(BadInput):  # half written, or garbled: it is only shown
                seen = read_json(folder_of(members[0].hash) / names.PROGRESS, needs=("step", "values"))
                if seen and isinstance(seen["step"], int) and isinstance(seen["values"], dict):
                    self.progress.advance(members, seen["step"], seen["values"])
        if now_s - self.delivered_s < DELIVER_EVERY_S:
            return
        self.delivered_s = now_s
        for sent in self.at_work.values():
            for experiment, before in sent.items():
                with suppress(OSError):
                    written = (folder_of(experiment.hash) / names.STATUS).stat().st_mtime
                    if written != before:
                        sent[experiment] = written
                        self.courier.send(deliver, folder_of(experiment.hash))

    def end(self, ended: Ended) -> None:
        """The pool has given a bundle back."""
        self.at_work.pop(ended.members, None)
        self.progress.end(ended.members)
        for experiment in ended.members:
            folder, title = folder_of(experiment.hash), self.source.title(experiment)
            self.courier.send(deliver, folder)
            if experiment in ended.in_use:
                continue
            status = read_status(folder) or {"status": "none", "message": ""}
            if status["status"] == "FINISHED":
                self.outcome.trained += 1
                result = read_json(folder / names.RESULT, needs=("last", "metrics"))
                self.progress.finish(title, describe(result) if result else f"{folder} has no {names.RESULT}")
                self._show_faults(result, title)
            elif status["status"] == "FAILED":
                self.outcome.failed.append(f"{title}: {status['message']}")
                self.progress.finish(title, f"FAILED: {status['message']}")

    def _show_faults(self, result: dict[str, Any] | None, title: str) -> None:
        for line in (result or {}).get("health", {"report": ""})["report"].splitlines():
            if line.startswith("- **"):
                self.progress.say(f"{title}: {line[2:].replace('**', '')}")

    def leave(self) -> None:
        """The work is over: what is still unfinished goes to MLflow as it is."""
        for members in self.at_work:
            for experiment in members:
                self.courier.send(deliver, folder_of(experiment.hash))


def has_failed(experiment: Experiment) -> bool:
    """Whether the run in the experiment's folder has failed."""
    return (read_status(folder_of(experiment.hash)) or {"status": "none"})["status"] == "FAILED"


def describe(result: dict[str, Any]) -> str:
    """The last line of a run."""
    last, metrics = result["last"], result["metrics"]
    return (
        f"target accuracy {last[names.TARGET_ACCURACY]:.3f}, source {last[names.SOURCE_ACCURACY]:.3f} "
        f"({metrics[names.TRAIN_TIME_S]:.0f} s)"
    )


def work_off(
    experiments: Sequence[Experiment],
    experiment_name: str,
    *,
    open_pool: Callable[[int], Pool],
    bundle: Callable[[Sequence[Experiment]], list[Bundle]],
    console: Console,
) -> Outcome:
    """Train every experiment that is not done yet and deliver all of them to one MLflow experiment.

    Args:
        experiments: what is wanted.
        experiment_name: of the MLflow experiment.
        open_pool: makes the pool, for at most so many bundles at a time.
        bundle: which of them are trained as one program.
        console: for progress.
    """
    outcome = Outcome()
    experiments = list(dict.fromkeys(experiments))
    waiting = [experiment for experiment in experiments if not is_done(experiment)]
    outcome.skipped = len(experiments) - len(waiting)
    if outcome.skipped:
        say(console, f"{outcome.skipped} of {len(experiments)} runs are already done and are not trained again")
    say_what_is_stale(waiting, console)
    source = Listed(bundles := bundle(waiting), experiment_name)
    with Courier() as courier:
        done = [folder_of(experiment.hash) for experiment in experiments if experiment not in set(waiting)]
        for folder in done:
            address(folder, Destination(experiment_name))
        courier.send(deliver_all, tuple(done))
        if waiting:
            with writing_to(names.runs_root()):
                names.runs_root().mkdir(parents=True, exist_ok=True)
            if changes := uncommitted_changes():
                say(console, str(changes))
            with RunProgress(console, len(waiting)) as progress:
                work(source, open_pool(len(bundles)), courier, progress, outcome)
            left = [each for each in waiting if not is_done(each)]
            outcome.in_use = [each.title for each in left if each in source.in_use]
            if not outcome.interrupted:
                outcome.failed += [
                    f"{each.title}: stopped; the same command goes on"
                    for each in left
                    if each not in source.in_use and not has_failed(each)
                ]
        if outcome.interrupted:
            say(console, "stopping: the same command goes on from the last checkpoints")
    outcome.undelivered = courier.trouble
    return outcome


def say_what_is_stale(waiting: Sequence[Experiment], console: Console) -> None:
    """Say which finished runs are trained again, and why."""
    changes: dict[str, int] = {}
    for experiment in waiting:
        if is_finished(folder_of(experiment.hash)):
            change = find_change(experiment)
            changes[change] = changes.get(change, 0) + 1
    for change, count in changes.items():
        which = "run is" if count == 1 else "runs are"
        say(console, f"{count} finished {which} stale and trained again: {change}", "yellow")
