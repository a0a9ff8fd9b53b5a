"""One run from experiment to recorded result."""

import hashlib
import io
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import pandas as pd
import torch

from datasets import DomainPair, load_pair
from experiments import record
from experiments.bundles import Bundle, bundle, bundle_tag, folder_of_bundle
from experiments.distributed import agree, place
from experiments.environment import describe_datasets, describe_environment, keep_changes
from experiments.errors import BadInput, MemberInUse, NonFiniteLoss, RunInUse
from experiments.evaluation import project, proxy_a_distance, sample_features
from experiments.events import Event, Report, ignore
from experiments.experiment import Experiment
from experiments.machine import AUTOMATIC, Machine, copy_to_cpu
from experiments.methods import METHODS
from experiments.networks import Networks
from experiments.recording import (
    Checkpoint,
    Recording,
    add_tags,
    claim,
    folder_of,
    is_done,
    is_finished,
    read_json,
    write_atomically,
)
from experiments.selection import select
from experiments.together import choose_members, train_together
from experiments.training import Trained, train
from grl.doctor import Verdict

# At least this long between checkpoints: one costs some ten milliseconds, at every evaluation of a short run too much.
CHECKPOINT_EVERY_S = 5.0


def run(experiment: Experiment, report: Report = ignore, *, machine: Machine = AUTOMATIC) -> dict[str, Any]:
    """Train `experiment` unless it is done, from its last checkpoint if there is one, and record the result.

    Of several processes (`distributed.joined`), the first alone reads, records and reports; what it returns or finds
    unusable, all do.

    Args:
        report: Receives what happens, as it happens.
        machine: How to compute.

    Returns:
        The content of `result.json`.

    Raises:
        RunInUse: another process is training this run.
        NonFiniteLoss: recorded as a failed run.
        KeyboardInterrupt: recorded as a killed run.
    """
    folder = folder_of(experiment)
    checkpoint = Checkpoint(folder)
    with ExitStack() as claims:

        def begin() -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
            claims.enter_context(claim(folder))
            return (read_json(folder / record.RESULT), None) if is_done(experiment) else (None, checkpoint.load())

        result, state = agree(begin)
        if result is not None:
            return result
        pair = load_pair(experiment.pair)
        rank, processes = place()
        if rank > 0:
            train(experiment, pair, state=state, machine=machine)
            return agree(dict)
        where = f"{machine.describe()}, {processes} processes" if processes > 1 else machine.describe()
        earlier_s = state["train_time_s"] if state else 0.0
        clock = _Clock()
        recordings: list[Recording] = []

        def log(step: int, values: dict[str, float]) -> None:
            recordings[0].log(step, values)
            report(Event("logged", step, values))

        def save(now: dict[str, Any]) -> None:
            if not clock.is_time_to_save():
                return
            times = {"points": recordings[0].keep(), "train_time_s": earlier_s + clock.passed_s()}
            checkpoint.save(now | times)
            recordings[0].mark("RUNNING")
            report(Event("saved", now["step"]))

        def diagnose(verdict: Verdict) -> None:
            _note(verdict, recordings[0], report)

        with _reporting(recordings, report):
            recordings.append(_open_recording(experiment, pair, where, state["points"] if state else None))
            report(Event("started", state["step"] if state else 0))
            try:
                trained = train(experiment, pair, log=log, save=save, diagnose=diagnose, state=state, machine=machine)
            except NonFiniteLoss as error:
                error = NonFiniteLoss(f"{error}; {_name_last_good(checkpoint)}")
                recordings[0].fail(str(error))
                report(Event("failed", message=str(error), run=experiment.hash))
                raise error from None
            trained_s = earlier_s + clock.passed_s()
            result = agree(lambda: _finish(recordings[0], experiment, trained, pair, trained_s))
            checkpoint.drop()
            report(Event("finished", experiment.steps, result["metrics"], run=experiment.hash))
            return result


def run_together(together: Bundle, report: Report = ignore) -> None:
    """Train the runs of a bundle that are not done as one program, and record each as if it had been trained alone.

    A run whose loss is not finite fails by itself and leaves the others alone.

    Raises:
        RunInUse: another process is training this bundle.
        MemberInUse: another process is training one of its several runs, or has trained one since they were bundled.
        KeyboardInterrupt: recorded as killed runs.
    """
    with ExitStack() as claims:
        claims.enter_context(claim(together.folder))
        for experiment in together.experiments:
            try:
                claims.enter_context(claim(folder_of(experiment)))
            except RunInUse as error:
                if len(together.experiments) == 1:
                    raise
                raise MemberInUse(str(error)) from None
        waiting = [experiment for experiment in together.experiments if not is_done(experiment)]
        if not waiting:
            return
        if bundle(waiting) != [together]:
            raise MemberInUse(f"another process has trained runs of {together.name} since they were bundled")
        pair = load_pair(waiting[0].pair)
        checkpoint, state = _take_over(together)
        earlier_s = state["train_time_s"] if state else dict.fromkeys((each.hash for each in waiting), 0.0)
        clock = _Clock()
        going = list(range(len(waiting)))  # members that have not failed
        recordings: list[Recording] = []

        def shares_s() -> dict[str, float]:
            return {name: spent_s + clock.passed_s() / len(waiting) for name, spent_s in earlier_s.items()}

        def log(step: int, values: Sequence[dict[str, float]]) -> None:
            for member in going:
                recordings[member].log(step, values[member])
            means = {name: statistics.fmean(values[member][name] for member in going) for name in values[0]}
            report(Event("logged", step, means))

        def save(now: dict[str, Any]) -> None:
            if now["step"] < waiting[0].steps and not clock.is_time_to_save():
                return
            points = {waiting[member].hash: recordings[member].keep() for member in going}
            checkpoint.save(choose_members(now, list(points)) | {"points": points, "train_time_s": shares_s()})
            for member in going:
                recordings[member].mark("RUNNING")
            report(Event("saved", now["step"]))

        def diagnose(member: int, verdict: Verdict) -> None:
            _note(verdict, recordings[member], report)

        def fail(member: int, error: NonFiniteLoss) -> None:
            going.remove(member)
            message = f"{error}; {_set_apart(waiting[member], recordings[member], checkpoint)}"
            recordings[member].fail(message)
            report(Event("failed", message=message, run=waiting[member].hash))

        with _reporting(recordings, report):
            for experiment in waiting:
                points = state["points"][experiment.hash] if state else None
                recordings.append(_open_recording(experiment, pair, "cpu", points, together))
            report(Event("started", state["step"] if state else 0))
            all_trained = train_together(waiting, pair, log=log, save=save, diagnose=diagnose, fail=fail, state=state)
            trained_s = shares_s()
            for member in going:
                experiment = waiting[member]
                result = _finish(recordings[member], experiment, all_trained[member], pair, trained_s[experiment.hash])
                report(Event("finished", experiment.steps, result["metrics"], run=experiment.hash))
        if going or len(waiting) > 1:  # a run that failed by itself keeps its last good checkpoint
            checkpoint.drop()


def _take_over(together: Bundle) -> tuple[Checkpoint, dict[str, Any] | None]:
    """The bundle's checkpoint and what is in it; a part of another bundle is taken out of that one's first.

    The tag `together` of a run names the only checkpoint that counts for it; it is written after that checkpoint.
    """
    own = Checkpoint(together.folder)
    if not together.begun:
        own.drop()  # left by a process that was killed, or of runs whose folders were deleted
        return own, None
    begun = Checkpoint(folder_of_bundle(together.begun))
    state = begun.load()
    if state is None or begun.path == own.path:
        return own, state
    own.save(choose_members(state, [experiment.hash for experiment in together.experiments]))
    for experiment in together.experiments:
        add_tags(folder_of(experiment), {record.TOGETHER: together.name})
    folders = [record.runs_root() / each for each in state["members"]]
    if all(bundle_tag(folder) != together.begun or is_finished(folder) for folder in folders):
        begun.drop()
    return own, own.load()


def _name_last_good(checkpoint: Checkpoint) -> str:
    path = checkpoint.path
    return f"the last good checkpoint is {path}" if path.exists() else "before the first checkpoint"


def _set_apart(experiment: Experiment, recording: Recording, checkpoint: Checkpoint) -> str:
    """Give a diverged run its part of the common checkpoint, before the others replace it; returns where it is."""
    [apart] = bundle([experiment])
    own = Checkpoint(apart.folder)
    state = checkpoint.load()
    if state is not None and own.path != checkpoint.path:
        apart.folder.mkdir(parents=True, exist_ok=True)
        own.save(choose_members(state, [experiment.hash]))
    add_tags(recording.folder, {record.TOGETHER: own.owner})
    return _name_last_good(own)


class _Clock:
    """Time since the start, and since the last checkpoint."""

    def __init__(self) -> None:
        self._started_s = self._saved_s = time.monotonic()

    def passed_s(self) -> float:
        return time.monotonic() - self._started_s

    def is_time_to_save(self) -> bool:
        """Whether the last checkpoint is old enough for another one."""
        now_s = time.monotonic()
        if now_s - self._saved_s < CHECKPOINT_EVERY_S:
            return False
        self._saved_s = now_s
        return True


def _open_recording(
    experiment: Experiment, pair: DomainPair, where: str, resumed_points: int | None, bundle: Bundle | None = None
) -> Recording:
    folder, environment = folder_of(experiment), describe_environment()
    tags = {
        record.KIND: "run",
        record.HASH: experiment.hash,
        record.SELECTION: experiment.selection,
        record.PAIR_TITLE: pair.title,
        record.PROTOCOL: pair.protocol,
        record.DATA_FINGERPRINT: pair.fingerprint,
        record.HARDWARE: f"{environment[record.HARDWARE]}, {where}",
    }
    if bundle is not None:
        tags[record.TOGETHER] = bundle.name
    recording = Recording(
        folder,
        {
            "hash": experiment.hash,
            "title": experiment.title,
            "params": experiment.flat(),
            "datasets": describe_datasets(pair, METHODS[experiment.method].reads),
            "tags": environment | tags,
        },
        resumed_points,
    )
    if resumed_points is None:
        keep_changes(folder)
    return recording


def _note(verdict: Verdict, recording: Recording, report: Report) -> None:
    add_tags(recording.folder, {record.VERDICT: verdict.status, record.VERDICT_SENTENCE: verdict.sentence})
    if not verdict.healthy:
        report(Event("diagnosed", message=verdict.sentence, run=recording.folder.name))


@contextmanager
def _reporting(recordings: Sequence[Recording], report: Report) -> Iterator[None]:
    """Note what stops the block with each run that was running, and report the end."""
    try:
        yield
    except NonFiniteLoss:
        raise
    except BaseException as error:
        # What a person can mend leaves a run to go on with, as an interruption does.
        mendable = isinstance(error, (KeyboardInterrupt, BadInput))
        status = "KILLED" if mendable else "FAILED"
        message = (str(error) or "interrupted") if mendable else f"{type(error).__name__}: {error}"
        with suppress(BadInput):  # a full disk has been said once
            for recording in recordings:
                if recording.is_running():
                    recording.mark(status, message)
        raise
    finally:
        report(Event("ended"))


def _finish(
    recording: Recording, experiment: Experiment, trained: Trained, pair: DomainPair, train_time_s: float
) -> dict[str, Any]:
    folder, networks = recording.folder, trained.networks
    sample = sample_features(networks, pair, trained.mean)
    weights, features, parquet = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save(copy_to_cpu(networks.state_dict()), weights)
    write_atomically(folder / record.MODEL, weights.getbuffer())
    np.savez(
        features,
        features=project(sample["features"]),
        labels=sample["labels"],
        domain_labels=sample["domain_labels"],
    )
    write_atomically(folder / record.FEATURES, features.getbuffer())
    points = recording.points()
    curves = pd.DataFrame(
        [(point["step"], name, value) for point in points for name, value in point["values"].items()],
        columns=["step", "metric", "value"],
    )
    curves.to_parquet(parquet, index=False)
    write_atomically(folder / record.CURVES, parquet.getbuffer())
    evaluations = {p["step"]: p["values"] for p in points if record.TARGET_ACCURACY in p["values"]}
    result = {
        "metrics": select(evaluations, experiment.selection)
        | {
            record.PROXY_A_DISTANCE: proxy_a_distance(sample["features"], sample["domain_labels"]),
            record.TRAIN_TIME_S: train_time_s,
            record.STEPS_PER_S: experiment.steps / train_time_s,
        },
        "weights_sha256": digest(networks),
    }
    recording.finish(result)
    return result


def digest(networks: Networks) -> str:
    """SHA-256 over all weights and buffers: equal digests mean bit-identical networks."""
    sha = hashlib.sha256()
    for name, value in networks.state_dict().items():
        sha.update(name.encode())
        sha.update(value.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
