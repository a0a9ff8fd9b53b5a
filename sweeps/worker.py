"""Work off a sweep: worker processes ask the study for trials and train their runs; the parent shows and delivers."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import filelock
from optuna.trial import TrialState
from rich.console import Console

from experiments import record
from experiments.bundles import Bundle, bundle
from experiments.delivery import Delivery
from experiments.errors import BadInput, MemberInUse, RunInUse
from experiments.experiment import Experiment, show_schedule
from experiments.machine import AUTOMATIC, Machine
from experiments.progress import RunProgress
from experiments.recording import folder_of, is_done, read_json, writing_to
from experiments.tracking import address, deliver
from experiments.worker import Outcome, deliver_after, describe, run_reported, run_workers
from sweeps.study import ask_for_trial, count_missing, journal_of, open_study, requeue_stale
from sweeps.sweep import Sweep
from sweeps.tracking import destination_of, report_study

WAIT_FOR_OTHERS_S = 1.0


@dataclass(frozen=True)
class TrialEvent:
    """A trial has begun ("asked") or ended ("told"); a failed one has no value."""

    name: str
    number: int
    schedule: str
    experiments: Sequence[Experiment] = ()
    bundles: Sequence[Bundle] = ()
    value: float | None = None
    message: str = ""


def work_off_sweep(sweep: Sweep, *, workers: int, console: Console) -> Outcome:
    """Run the sweep until it has all of its trials; what an earlier call finished counts.

    Raises:
        BadInput: another process works on this sweep.
    """
    outcome = Outcome()
    lock = filelock.FileLock(f"{journal_of(sweep)}.held", timeout=0)  # ".lock" is Optuna's own
    with writing_to(journal_of(sweep).parent):
        journal_of(sweep).parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise BadInput(f"another process is working on sweep {sweep.name}") from None
    with lock, Delivery() as delivery:
        study = open_study(sweep)
        if stale := requeue_stale(study):
            console.print(f"{stale} trials were left unfinished by a killed worker and are queued again")
        if missing := count_missing(study, sweep):
            _work(sweep, min(workers, missing), console, delivery, outcome)
        else:
            console.print(f"all {sweep.trials} trials of sweep {sweep.name} are already done")
        delivery.send(report_study, sweep, study, "KILLED" if outcome.interrupted else "FINISHED")
    outcome.undelivered = delivery.trouble
    return outcome


def _work(sweep: Sweep, workers: int, console: Console, delivery: Delivery, outcome: Outcome) -> None:
    with RunProgress(console, sweep.trials * sweep.seeds) as progress:
        titles: dict[str, str] = {}
        bundles: dict[str, Bundle] = {}

        def show(event: Any) -> None:
            if isinstance(event, TrialEvent):
                if event.name == "asked":
                    bundles.update({each.name: each for each in event.bundles})
                    for experiment in event.experiments:
                        titles[experiment.hash] = f"trial {event.number} seed {experiment.seed}"
                        address(folder_of(experiment), destination_of(sweep, event.number))
                        delivery.send(deliver, folder_of(experiment))  # what is done already comes with no event
                else:
                    outcome.trained += 1
                    shown = f"{event.value:.4f}" if event.value is not None else f"FAILED: {event.message}"
                    if event.value is None:
                        outcome.failed.append(f"trial {event.number}: {event.message}")
                    line = f"trial {event.number}: {event.schedule} -> {shown}"
                    console.print(line, markup=False, highlight=False, soft_wrap=True)
                return
            trained = bundles[event.bundle]
            match event.name:
                case "started":
                    names = [titles[experiment.hash] for experiment in trained.experiments]
                    progress.start(trained.name, ", ".join(names), trained.experiments[0].steps, event.step)
                case "logged":
                    progress.advance(trained.name, event.step, event.values)
                case "finished":
                    progress.finish(titles[event.run], describe(event.values))
                case "failed":
                    progress.finish(titles[event.run], f"FAILED: {event.message}")
                case "ended":
                    progress.end(trained.name)
            deliver_after(event, trained, delivery)

        outcome.interrupted = run_workers(work_on_study, (sweep,), workers, show)
        if outcome.interrupted:
            console.print("stopping: the same command goes on where the sweep stopped")


def work_on_study(sweep: Sweep, events: Any, index: int) -> None:
    """One worker: ask, train the trial's runs, tell, until the sweep has all of its trials."""
    study, machine = open_study(sweep, worker=index), AUTOMATIC.for_worker(index)
    while (trial := ask_for_trial(study, sweep)) is not None:
        schedule = sweep.suggest(trial)
        shown = show_schedule(schedule)
        experiments = sweep.experiments(schedule)
        trial.set_user_attr("runs", [experiment.hash for experiment in experiments])
        trial.set_user_attr("schedule", shown)
        bundles = bundle(experiments, machine)
        events.put(TrialEvent("asked", trial.number, shown, experiments, bundles))
        failure = ""
        for each in bundles:
            _run_when_free(each, each.name, machine, events)
            if failure := next(filter(None, map(failure_of, each.experiments)), ""):
                break
        if failure:
            # A diverged run is a failed trial, never an accuracy of 0.
            study.tell(trial, state=TrialState.FAIL)
            events.put(TrialEvent("told", trial.number, shown, message=failure))
            continue
        results = [read_json(folder_of(experiment) / record.RESULT) for experiment in experiments]
        for hindsight in (record.SELECTED_SOURCE_ACCURACY, record.SELECTED_TARGET_ACCURACY):
            trial.set_user_attr(hindsight, statistics.mean(result["metrics"][hindsight] for result in results))
        value = statistics.mean(result["metrics"][sweep.objective] for result in results)
        study.tell(trial, value)
        events.put(TrialEvent("told", trial.number, shown, value=value))


def _run_when_free(each: Bundle, name: str, machine: Machine, events: Any) -> None:
    """Train a bundle, after whoever is training it or a part of it, and report it as the bundle `name`."""
    while not all(is_done(experiment) for experiment in each.experiments):
        try:
            return run_reported(each, events.put, machine, name)
        except MemberInUse:
            for experiment in each.experiments:
                for one in bundle([experiment], machine):
                    _run_when_free(one, name, machine, events)
            return
        except RunInUse:
            time.sleep(WAIT_FOR_OTHERS_S)


def failure_of(experiment: Experiment) -> str:
    """Why a run that has ended has no result; empty if it has one."""
    return "" if is_done(experiment) else read_json(folder_of(experiment) / record.STATUS)["message"]
