"""Work off a list of experiments: worker processes train, the parent shows progress and delivers to MLflow.

Workers only write to run folders; they never wait for a tracking server. Each takes the next runs of the list and
leaves those that another command has claimed, so several `run` commands on one machine share a list without knowing of
each other.
"""

import dataclasses
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

from rich.console import Console

from datasets import DatasetError
from experiments import record
from experiments.bundles import Bundle, bundle, plain
from experiments.delivery import Delivery
from experiments.distributed import agree, place
from experiments.errors import BadInput, MemberInUse, NonFiniteLoss, RunInUse, WorkerDied
from experiments.events import Event, ignore
from experiments.experiment import Experiment
from experiments.machine import AUTOMATIC, Machine
from experiments.progress import RunProgress
from experiments.recording import folder_of, is_done
from experiments.tracking import Destination, address, deliver

# Time for workers to note that they were killed.
GRACE_S = 15.0


@dataclass
class Outcome:
    """What became of a list of experiments."""

    trained: int = 0
    skipped: int = 0
    in_use: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    undelivered: str = ""
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return 130
        return 1 if self.failed or self.in_use or self.undelivered else 0


def work_off(
    experiments: Sequence[Experiment],
    experiment_name: str,
    *,
    workers: int,
    console: Console,
    machine: Machine = AUTOMATIC,
) -> Outcome:
    """Train every experiment that is not done yet and deliver all of them to one MLflow experiment.

    Args:
        experiment_name: of the MLflow experiment.
        workers: processes; each computes with one thread. Processes that torchrun started are used as they are.
        machine: how they compute.
    """
    outcome = Outcome()
    waiting = [experiment for experiment in experiments if not is_done(experiment)]
    outcome.skipped = len(experiments) - len(waiting)
    if outcome.skipped:
        console.print(f"{outcome.skipped} of {len(experiments)} runs are already done and are not trained again")
    destination = Destination(experiment_name)
    with Delivery() as delivery:
        for experiment in experiments:
            address(folder_of(experiment), destination)
            if is_done(experiment):
                delivery.send(deliver, folder_of(experiment))
        if waiting or place() != (0, 1):
            _train_all(waiting, workers, machine, console, delivery, outcome)
    outcome.undelivered = delivery.trouble
    return outcome


def _train_all(
    waiting: list[Experiment],
    workers: int,
    machine: Machine,
    console: Console,
    delivery: Delivery,
    outcome: Outcome,
) -> None:
    bundles = bundle(waiting, machine)
    with RunProgress(console, len(waiting)) as progress:
        by_name = {each.name: each for each in bundles}
        titles = {experiment.hash: experiment.title for experiment in waiting}
        ended: set[str] = set()
        in_use: set[str] = set()

        def show(event: Event) -> None:
            trained = by_name[event.bundle]
            match event.name:
                case "started":
                    progress.start(trained.name, trained.title, trained.experiments[0].steps, event.step)
                case "logged":
                    progress.advance(trained.name, event.step, event.values)
                case "diagnosed":
                    console.print(f"{titles[event.run]}: {event.message}", style="yellow", markup=False, soft_wrap=True)
                case "finished":
                    ended.add(event.run)
                    outcome.trained += 1
                    progress.finish(titles[event.run], describe(event.values))
                case "failed":
                    ended.add(event.run)
                    outcome.failed.append(f"{titles[event.run]}: {event.message}")
                    progress.finish(titles[event.run], f"FAILED: {event.message}")
                case "in use":
                    in_use.update(experiment.hash for experiment in trained.experiments)
                case "ended":
                    progress.end(trained.name)
            deliver_after(event, trained, delivery)

        if place() != (0, 1):
            outcome.interrupted = train_in_step(waiting, machine, show)
        else:
            taken = multiprocessing.get_context("spawn").Value("i", 0)
            arguments = (bundles, taken, machine)
            outcome.interrupted = run_workers(_train_listed, arguments, min(workers, len(bundles)), show)
        # Of a bundle with a run in use the others were trained one by one, and the run itself may be done by now.
        left = [each for each in waiting if each.hash in in_use - ended and not is_done(each)]
        outcome.in_use = [] if outcome.interrupted else [experiment.title for experiment in left]
        if outcome.interrupted:
            console.print("stopping: the same command goes on from the last checkpoints")


def deliver_after(event: Event, trained: Bundle, delivery: Delivery) -> None:
    """Send to MLflow what an event has put on the disk."""
    if event.run:
        delivery.send(deliver, record.runs_root() / event.run)
    elif event.name in ("saved", "ended") or (event.name == "started" and trained.is_plain):
        for experiment in trained.experiments:
            delivery.send(deliver, folder_of(experiment))


def describe(values: dict[str, float]) -> str:
    """The last line of a run."""
    return (
        f"target accuracy {values[record.SELECTED_TARGET_ACCURACY]:.3f}, "
        f"source {values[record.SELECTED_SOURCE_ACCURACY]:.3f} ({values[record.TRAIN_TIME_S]:.0f} s)"
    )


def run_workers(
    target: Callable[..., None], arguments: tuple[Any, ...], count: int, show: Callable[[Any], None]
) -> bool:
    """Run `target(*arguments, events, index)` in `count` processes until all have ended.

    Args:
        target: a module-level function; what it puts into `events` is handed to `show` here.

    Returns:
        Whether Ctrl-C or SIGTERM ended it.

    Raises:
        BadInput: a worker found an input it cannot use.
        WorkerDied: a worker ended otherwise.
    """
    context = multiprocessing.get_context("spawn")
    events: Any = context.Queue()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    processes = [
        context.Process(target=_enter_worker, args=(target, arguments, events, index), daemon=True)
        for index in range(count)
    ]
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    interrupted = False
    try:
        _start(processes)
        _drain(events, processes, show)
    except KeyboardInterrupt:
        interrupted = True
    finally:  # what one worker cannot use ends the others, too
        _stop(processes)
        signal.signal(signal.SIGTERM, previous)
    _drain(events, [], show)
    died = [process.exitcode for process in processes if process.exitcode not in (0, None)]
    if died and not interrupted:
        raise WorkerDied(
            f"a worker process ended with exit code {died[0]}; finished runs are kept, the same command goes on"
        )
    return interrupted


def _start(processes: Sequence[BaseProcess]) -> None:
    """Start workers that Ctrl-C does not reach: the parent alone takes it and tells them, once."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited
    try:
        for process in processes:
            process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _stop(processes: Sequence[BaseProcess]) -> None:
    """Have the workers that still live mark their runs as killed, and wait for them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for process in processes:
        if process.is_alive():
            process.terminate()
    for process in processes:
        if process.pid is not None:
            process.join(GRACE_S)
            process.kill()  # which a run survives, too
            process.join()
    signal.signal(signal.SIGINT, before)


def _drain(events: Any, processes: Sequence[BaseProcess], show: Callable[[Any], None]) -> None:
    """Handle events while a process lives, then what is left."""
    while True:
        alive = any(process.is_alive() for process in processes)
        try:
            event = events.get(timeout=0.1 if alive else 0.3)
        except queue.Empty:
            if not alive:
                return
            continue
        if isinstance(event, BaseException):
            raise event
        show(event)


def _enter_worker(target: Callable[..., None], arguments: tuple[Any, ...], events: Any, index: int) -> None:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    signal.signal(signal.SIGTERM, _interrupt_once)
    parent = os.getppid()

    def watch_parent() -> None:
        # A parent that was killed can collect nothing any more: stop as if interrupted, and leave the checkpoint.
        while os.getppid() == parent:
            threading.Event().wait(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch_parent, daemon=True).start()
    try:
        target(*arguments, events, index)
    except KeyboardInterrupt:
        pass
    except (BadInput, DatasetError) as error:  # a person's to mend
        events.put(BadInput(str(error)))


def _interrupt_once(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would cut short what the first one has noted
    raise KeyboardInterrupt


def train_in_step(experiments: Sequence[Experiment], machine: Machine, show: Callable[[Event], None] = ignore) -> bool:
    """Train the experiments of the first process, one after the other, in all processes that torchrun started.

    Args:
        experiments: of the first process; what the others give does not count.
        show: receives what happens, in the first process.

    Returns:
        Whether Ctrl-C or SIGTERM, which torchrun sends when one of them fails, ended it.
    """
    signal.signal(signal.SIGTERM, _interrupt_once)
    try:
        for each in map(plain, agree(lambda: experiments)):
            try:
                run_reported(each, show, machine)
            except RunInUse:
                show(Event("in use", bundle=each.name))
    except KeyboardInterrupt:
        return True
    return False


def _train_listed(bundles: list[Bundle], taken: Any, machine: Machine, events: Any, index: int) -> None:
    """Train bundles of the list, each of which one worker takes; `taken` counts them."""
    while True:
        with taken.get_lock():
            position = taken.value
            taken.value += 1
        if position >= len(bundles):
            return
        _train_free(bundles[position], bundles[position].name, machine.for_worker(index), events)


def _train_free(each: Bundle, name: str, machine: Machine, events: Any) -> None:
    """Train what nobody else is training, and report it as the bundle `name`."""
    if all(is_done(experiment) for experiment in each.experiments):
        return
    try:
        run_reported(each, events.put, machine, name)
    except MemberInUse:
        for experiment in each.experiments:
            for one in bundle([experiment], machine):
                _train_free(one, name, machine, events)
    except RunInUse:
        events.put(Event("in use", bundle=name))


def run_reported(
    each: Bundle, show: Callable[[Event], None], machine: Machine = AUTOMATIC, name: str | None = None
) -> None:
    """Train a bundle and show what happens, and how each run ends, under its name or another.

    Raises:
        RunInUse: another process is training it, or one of its runs.
        KeyboardInterrupt: it was interrupted.
    """
    from experiments.running import run, run_together

    def report(event: Event) -> None:
        show(dataclasses.replace(event, bundle=name or each.name))

    try:
        if each.is_plain:
            run(each.experiments[0], report, machine=machine)
        else:
            run_together(each, report)
    except NonFiniteLoss:
        pass  # reported; the others still train
