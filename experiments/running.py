"""One run from experiment to recorded result."""

import hashlib
import io
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch

from datasets import load_pair
from experiments import record
from experiments.environment import describe_datasets, describe_environment, keep_changes
from experiments.errors import NonFiniteLoss
from experiments.evaluation import project, proxy_a_distance, sample_features
from experiments.experiment import Experiment
from experiments.methods import METHODS
from experiments.networks import Networks
from experiments.recording import Recording, claim, folder_of, is_done, read_json, write_atomically
from experiments.selection import select
from experiments.training import train
from grl.doctor import Verdict


class Report(Protocol):
    """Receives what happens in a run: "started", "diagnosed", "logged" or "saved"."""

    def __call__(self, event: str, step: int, values: dict[str, float], message: str = "") -> None: ...


def ignore(event: str, step: int, values: dict[str, float], message: str = "") -> None:
    """The report that nobody reads."""


def run(experiment: Experiment, report: Report = ignore) -> dict[str, Any]:
    """Train `experiment` unless it is done, from its last checkpoint if there is one, and record the result.

    Args:
        report: Receives what happens, as it happens.

    Returns:
        The content of `result.json`.

    Raises:
        RunInUse: another process is training this run.
        NonFiniteLoss: recorded as a failed run.
        KeyboardInterrupt: recorded as a killed run.
    """
    folder = folder_of(experiment)
    with claim(folder):
        if is_done(experiment):
            return read_json(folder / record.RESULT)
        pair = load_pair(experiment.pair)
        recording = Recording(
            folder,
            {
                "hash": experiment.hash,
                "title": experiment.title,
                "params": experiment.flat(),
                "datasets": describe_datasets(pair, METHODS[experiment.method].reads),
                "tags": describe_environment()
                | {
                    record.KIND: "run",
                    record.HASH: experiment.hash,
                    record.SELECTION: experiment.selection,
                    record.PAIR_TITLE: pair.title,
                    record.PROTOCOL: pair.protocol,
                    record.DATA_FINGERPRINT: pair.fingerprint,
                },
            },
        )
        if recording.state is None:
            keep_changes(folder)

        def log(step: int, values: dict[str, float]) -> None:
            recording.log(step, values)
            report("logged", step, values)

        def save(state: dict[str, Any]) -> None:
            recording.save(state | {"train_time_s": earlier_s + time.perf_counter() - started})
            report("saved", state["step"], {})

        def diagnose(verdict: Verdict) -> None:
            recording.tag({record.VERDICT: verdict.status, record.VERDICT_SENTENCE: verdict.sentence})
            if not verdict.healthy:
                report("diagnosed", 0, {}, verdict.sentence)

        first_step = recording.state["step"] if recording.state else 0
        earlier_s = recording.state["train_time_s"] if recording.state else 0.0
        report("started", first_step, {})
        started = time.perf_counter()
        try:
            trained = train(experiment, pair, log=log, save=save, diagnose=diagnose, state=recording.state)
            train_time_s = earlier_s + time.perf_counter() - started
            sample = sample_features(trained.networks, pair, trained.mean)
            _save_files(folder, trained.networks, sample)
            return _finish(recording, experiment, sample, trained.networks, train_time_s)
        except NonFiniteLoss as error:
            checkpoint = folder / record.CHECKPOINT
            kept = f"the last good checkpoint is {checkpoint}" if checkpoint.exists() else "before the first checkpoint"
            message = f"{error}; {kept}"
            recording.fail(message)
            raise NonFiniteLoss(message) from None
        except KeyboardInterrupt:
            if not is_done(experiment):
                recording.mark("KILLED", "interrupted")
            raise
        except Exception as error:
            recording.mark("FAILED", f"{type(error).__name__}: {error}")
            raise


def _save_files(folder: Path, networks: Networks, sample: dict[str, np.ndarray]) -> None:
    weights, features = io.BytesIO(), io.BytesIO()
    torch.save(networks.state_dict(), weights)
    write_atomically(folder / record.MODEL, weights.getvalue())
    np.savez(
        features,
        features=project(sample["features"]),
        labels=sample["labels"],
        domain_labels=sample["domain_labels"],
    )
    write_atomically(folder / record.FEATURES, features.getvalue())


def _finish(
    recording: Recording, experiment: Experiment, sample: dict[str, np.ndarray], networks: Networks, train_time_s: float
) -> dict[str, Any]:
    points = recording.points()
    curves = pd.DataFrame(
        [(point["step"], name, value) for point in points for name, value in point["values"].items()],
        columns=["step", "metric", "value"],
    )
    parquet = io.BytesIO()
    curves.to_parquet(parquet, index=False)
    write_atomically(recording.folder / record.CURVES, parquet.getvalue())
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
