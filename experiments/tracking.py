"""From a run's folder to MLflow: batched, repeatable, and never in the way of a training.

`deliver` sends what MLflow has not received yet and remembers how far it came, so calling it after every checkpoint
gives live curves, and calling it after an outage sends the rest. Sending the same points twice is harmless: MLflow
drops exact repetitions.
"""

import json
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from experiments import record
from experiments.recording import read_json, read_points, write_json, writing_to

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Limits of one log_batch call.
MOST_METRICS, MOST_PARAMS = 1000, 100
ARTIFACTS = (record.CURVES, record.FEATURES)


class Unreachable(RuntimeError):
    """The tracking store did not take the data; they stay on disk."""


@dataclass(frozen=True)
class Destination:
    """Where in MLflow a run belongs: an experiment by name and, for a sweep, the titles of the runs above it."""

    experiment: str
    parents: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name of this destination in `deliveries.json`."""
        return json.dumps([record.tracking_uri(), self.experiment, *self.parents])


def open_client() -> "MlflowClient":
    """Connect to the tracking store, creating the default one at first use.

    Raises:
        Unreachable: with the address and the reason.
    """
    # A server that is away must cost seconds, not the minutes of MLflow's default retries.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    # A line per finished run in the middle of the progress bars.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    uri = record.tracking_uri()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside MLflow's own imports are not the user's business
            from mlflow import MlflowClient
        for name in ("mlflow", "alembic", "urllib3"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if uri.startswith("sqlite:///"):
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            # Two processes that create the same store at once would both run its migrations.
            with filelock.FileLock(f"{uri.removeprefix('sqlite:///')}.lock"):
                client = MlflowClient(tracking_uri=uri)
                client.search_experiments(max_results=1)
        else:
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
    except Exception as error:
        raise Unreachable(f"MLflow store {uri} cannot be reached: {_first_line(error)}") from None
    return client


def address(folder: Path, destination: Destination) -> None:
    """Note in the run's folder that it belongs to `destination`, so that any later process can deliver it."""
    with _deliveries(folder) as deliveries:
        deliveries.setdefault(destination.key, {"run_id": None, "points": 0, "status": None})


def deliver(client: "MlflowClient", folder: Path) -> None:
    """Send to every destination on this tracking store what it has not received yet.

    Raises:
        Unreachable: the store failed; what it has received is remembered.
    """
    description, status = read_json(folder / record.RUN), read_json(folder / record.STATUS)
    if description is None or status is None:
        return
    with _deliveries(folder) as deliveries:
        for key, delivery in deliveries.items():
            uri, experiment, *parents = json.loads(key)
            if uri != record.tracking_uri() or delivery["status"] == "FINISHED":
                continue
            try:
                _deliver_one(client, folder, description, status, experiment, parents, delivery)
            except Exception as error:
                raise Unreachable(f"MLflow store {uri} did not take run {folder.name}: {_first_line(error)}") from error


def undelivered() -> list[Path]:
    """Folders of runs that some destination on this tracking store has not received completely."""
    waiting = []
    for path in sorted(record.runs_root().glob(f"*/{record.DELIVERIES}")):
        status = read_json(path.parent / record.STATUS)
        for key, delivery in (read_json(path) or {}).items():
            if json.loads(key)[0] == record.tracking_uri() and status is not None:
                if delivery["status"] != status["status"] or delivery["points"] < status["points"]:
                    waiting.append(path.parent)
                    break
    return waiting


def _deliver_one(
    client: "MlflowClient",
    folder: Path,
    description: dict[str, Any],
    status: dict[str, Any],
    experiment: str,
    parents: list[str],
    delivery: dict[str, Any],
) -> None:
    from mlflow.entities import Metric, Param

    experiment_id = ensure_experiment(client, experiment)
    if delivery["run_id"] is None:
        above = None
        for depth in range(len(parents)):
            above = ensure_parent(client, experiment_id, tuple(parents[: depth + 1]), above)
        tags = description["tags"] | ({"mlflow.parentRunId": above} if above else {})
        delivery["run_id"] = _find_or_create(
            client,
            experiment_id,
            {record.HASH: description["hash"]},
            tags,
            description["title"],
            description["started_ms"],
        )
        params = [Param(name, value) for name, value in description["params"].items()]
        for chunk in _chunks(params, MOST_PARAMS):
            client.log_batch(delivery["run_id"], params=chunk)
    run_id = delivery["run_id"]

    if status["status"] == "RUNNING" and delivery["status"] not in (None, "RUNNING"):
        client.update_run(run_id, status="RUNNING")
        client.set_tag(run_id, "resumed", "true")
    metrics = [
        Metric(name, value, point["time_ms"], point["step"])
        for point in read_points(folder)[delivery["points"] :]
        for name, value in point["values"].items()
    ]
    result = read_json(folder / record.RESULT) if status["status"] == "FINISHED" else None
    if result is not None:
        metrics += [Metric(name, value, status["time_ms"], 0) for name, value in result["metrics"].items()]
        client.set_tag(run_id, "weights_sha256", result["weights_sha256"])
        for name in ARTIFACTS:
            client.log_artifact(run_id, str(folder / name))
    for chunk in _chunks(metrics, MOST_METRICS):
        client.log_batch(run_id, metrics=chunk)
    if status["message"]:
        client.set_tag(run_id, "message", status["message"])
    if status["status"] != "RUNNING":
        client.set_terminated(run_id, status["status"], status["time_ms"])
    # A resumed run counts its points from its checkpoint again; those sent before are not sent twice.
    delivery |= {"points": max(delivery["points"], status["points"]), "status": status["status"]}


def ensure_experiment(client: "MlflowClient", name: str) -> str:
    """The id of the MLflow experiment called `name`, created if there is none."""
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found else client.create_experiment(name, artifact_location=record.artifact_root())


def ensure_parent(client: "MlflowClient", experiment_id: str, path: tuple[str, ...], above: str | None) -> str:
    """The id of the run that stands for a study or a trial, named by its path of titles, created if there is none."""
    kind = ("study", "trial")[len(path) - 1]
    tags = {record.KIND: kind, record.PATH: "/".join(path)} | ({"mlflow.parentRunId": above} if above else {})
    return _find_or_create(client, experiment_id, {record.PATH: "/".join(path)}, tags, path[-1], None)


def _find_or_create(
    client: "MlflowClient",
    experiment_id: str,
    identity: dict[str, str],
    tags: dict[str, str],
    name: str,
    start_ms: int | None,
) -> str:
    # A process that died after creating the run and before noting its id has left it behind: find it.
    [(tag, value)] = identity.items()
    wanted = f"tags.{tag} = '{value}'"
    if "mlflow.parentRunId" in tags:
        wanted += f" and tags.mlflow.parentRunId = '{tags['mlflow.parentRunId']}'"
    found = client.search_runs([experiment_id], wanted, max_results=1)
    if found:
        return found[0].info.run_id
    return client.create_run(experiment_id, start_time=start_ms, tags=tags, run_name=name).info.run_id


class _deliveries:
    """`deliveries.json` of a run, locked while it is open, written back even when sending broke off."""

    def __init__(self, folder: Path):
        self.path = folder / record.DELIVERIES
        self.lock = filelock.FileLock(folder / "deliveries.lock")

    def __enter__(self) -> dict[str, Any]:
        with writing_to(self.path.parent.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.lock.acquire()
        self.before = read_json(self.path) or {}
        self.content = json.loads(json.dumps(self.before))
        return self.content

    def __exit__(self, *exception: object) -> None:
        try:
            if self.content != self.before:
                write_json(self.path, self.content)
        finally:
            self.lock.release()


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
