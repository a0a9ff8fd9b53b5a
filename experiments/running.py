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
from experiments.bundles import Bundle
from experiments.distributed import agree, place
from experiments.environment import describe_datasets, describe_environment, keep_changes
from experiments.errors import BadInput, MemberInUse, NonFiniteLoss, RunInUse
from experiments.evaluation import project, proxy_a_distance, sample_features
from experiments.events import Event, Report, ignore
from experiments.experiment import Experiment
from experiments.machine import AUTOMATIC, Machine, copy_to_cpu
from experiments.methods import METHODS
from experiments.networks import Networks
from experiments.recording import Checkpoint, Recording, claim, folder_of, is_done, read_json, write_atomically
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
        recording = _open_recording(experiment, pair, where, state["points"] if state else None)
        clock = _Clock(state)

        def log(step: int, values: dict[str, float]) -> None:
            recording.log(step, values)
            report(Event("logged", step, values))

        def save(state: dict[str, Any]) -> None:
            if not clock.is_time_to_save():
                return
            checkpoint.save(state | {"points": recording.keep(), "train_time_s": clock.trained_s()})
            recording.mark("RUNNING")
            report(Event("saved", state["step"]))

        def diagnose(verdict: Verdict) -> None:
            _note(verdict, recording, report)

        with _reporting([recording], state["step"] if state else 0, report):
            try:
                trained = train(experiment, pair, log=log, save=save, diagnose=diagnose, state=state, machine=machine)
            except NonFiniteLoss as error:
                path = checkpoint.path
                kept = f"the last good checkpoint is {path}" if path.exists() else "before the first checkpoint"
                error = NonFiniteLoss(f"{error}; {kept}")
                recording.fail(str(error))
                report(Event("failed", message=str(error), run=experiment.hash))
                raise error from None
            result = agree(lambda: _finish(recording, experiment, trained, pair, clock.trained_s()))
            checkpoint.drop()
            report(Event("finished", experiment.steps, result["metrics"], run=experiment.hash))
            return result


def run_together(bundle: Bundle, report: Report = ignore) -> None:
    """Train the runs of a bundle that are not done as one program, and record each as if it had been trained alone.

    A run whose loss is not finite fails by itself and leaves the others alone.

    Raises:
        RunInUse: another process is training this bundle.
        MemberInUse: another process is training one of its runs.
        KeyboardInterrupt: recorded as killed runs.
    """
    with ExitStack() as claims:
        claims.enter_context(claim(bundle.folder))
        for experiment in bundle.experiments:
            try:
                claims.enter_context(claim(folder_of(experiment)))
            except RunInUse as error:
                raise MemberInUse(str(error)) from None
        waiting = [experiment for experiment in bundle.experiments if not is_done(experiment)]
        if not waiting:
            return
        pair = load_pair(waiting[0].pair)
        checkpoint = Checkpoint(bundle.folder)
        state = checkpoint.load()
        if state is not None:
            state = choose_members(state, [experiment.hash for experiment in waiting])
        recordings = [
            _open_recording(experiment, pair, "cpu", state["points"][experiment.hash] if state else None, bundle)
            for experiment in waiting
        ]
        clock = _Clock(state)
        failed: dict[int, str] = {}

        def log(step: int, values: Sequence[dict[str, float]]) -> None:
            going = [member for member in range(len(waiting)) if member not in failed]
            for member in going:
                recordings[member].log(step, values[member])
            if going:
                means = {name: statistics.fmean(values[member][name] for member in going) for name in values[0]}
                report(Event("logged", step, means))

        def save(state: dict[str, Any]) -> None:
            if state["step"] < waiting[0].steps and not clock.is_time_to_save():
                return
            points = {
                experiment.hash: recording.keep() for experiment, recording in zip(waiting, recordings, strict=True)
            }
            checkpoint.save(state | {"points": points, "train_time_s": clock.trained_s()})
            for member, recording in enumerate(recordings):
                if member not in failed:
                    recording.mark("RUNNING")
            report(Event("saved", state["step"]))

        def diagnose(member: int, verdict: Verdict) -> None:
            _note(verdict, recordings[member], report)

        def fail(member: int, error: NonFiniteLoss) -> None:
            failed[member] = str(error)
            recordings[member].fail(str(error))
            report(Event("failed", message=str(error), run=waiting[member].hash))

        with _reporting(recordings, state["step"] if state else 0, report):
            all_trained = train_together(waiting, pair, log=log, save=save, diagnose=diagnose, fail=fail, state=state)
            share_s = clock.trained_s() / len(waiting)
            for member, (experiment, trained) in enumerate(zip(waiting, all_trained, strict=True)):
                if member not in failed:
                    result = _finish(recordings[member], experiment, trained, pair, share_s)
                    report(Event("finished", experiment.steps, result["metrics"], run=experiment.hash))
            checkpoint.drop()


class _Clock:
    """Time spent on training, over all starts, and since the last checkpoint."""

    def __init__(self, state: dict[str, Any] | None):
        self._earlier_s = state["train_time_s"] if state else 0.0
        self._started_s = self._saved_s = time.monotonic()

    def trained_s(self) -> float:
        return self._earlier_s + time.monotonic() - self._started_s

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
    recording.tag({record.VERDICT: verdict.status, record.VERDICT_SENTENCE: verdict.sentence})
    if not verdict.healthy:
        report(Event("diagnosed", message=verdict.sentence, run=recording.folder.name))


@contextmanager
def _reporting(recordings: Sequence[Recording], step: int, report: Report) -> Iterator[None]:
    """Report begin and end, and note what stops the block with each run that was running."""
    report(Event("started", step))
    try:
        yield
    except NonFiniteLoss:
        raise
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt)
        status, message = ("KILLED", "interrupted") if killed else ("FAILED", f"{type(error).__name__}: {error}")
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
