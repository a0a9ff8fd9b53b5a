"""From a run's folder to MLflow: batched, repeatable, and never in the way of a training.

`deliver` sends what MLflow has not received yet and remembers how far it came, so calling it after every checkpoint
gives live curves, and calling it after an outage sends the rest. Sending the same points twice is harmless: MLflow
drops exact repetitions. Every step of it may therefore break off at any moment and is simply done again.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from experiments.errors import BadInput
from experiments.record import names
from experiments.record.files import read_json, write_json, writing_to
from experiments.record.folder import list_runs, read_points, read_status
from experiments.record.store import Unreachable, first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Limits of one log_batch call.
MOST_METRICS, MOST_PARAMS = 1000, 100
# What has arrived is remembered after so many points: a store that breaks off again and again gets further each time.
POINTS_AT_ONCE = 100
NOTHING = {"run_id": None, "points": 0, "status": None}  # of what has been received
ARTIFACTS = (names.CURVES, names.EVALUATIONS, names.CHANGES)


@dataclass(frozen=True)
class Destination:
    """Where in MLflow a run belongs: an experiment by name and, for a sweep, the titles of the runs above it."""

    experiment: str
    parents: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name of this destination in `deliveries.json`."""
        return json.dumps([names.shown_uri(), self.experiment, *self.parents])


def address(folder: Path, destination: Destination) -> None:
    """Note in the run's folder that it belongs to `destination`, so that any later process can deliver it."""
    with _deliveries(folder) as deliveries:
        deliveries.setdefault(destination.key, dict(NOTHING))


def readdress(old: Path, new: Path) -> None:
    """Note that the run in `new` belongs wherever that in `old` did; MLflow has received nothing of it."""
    if keys := read_deliveries(old):
        with _deliveries(new) as deliveries:
            deliveries.update({key: dict(NOTHING) for key in keys})


def deliver(client: "MlflowClient", folder: Path) -> None:
    """Send to every destination on this tracking store what it has not received yet.

    Raises:
        Unreachable: the store failed; what it has received is remembered.
    """
    description, status = read_json(folder / names.RUN, needs=("hash", "tags")), read_status(folder)
    if description is None or status is None:
        return
    with _deliveries(folder) as deliveries:
        for key, delivery in deliveries.items():
            uri, experiment, *parents = json.loads(key)
            if uri != names.shown_uri() or delivery["status"] == "FINISHED":
                continue
            try:
                _deliver_one(client, folder, description, status, experiment, parents, delivery)
            except Exception as error:
                raise Unreachable(f"MLflow store {uri} did not take run {folder.name}: {first_line(error)}") from error


def undelivered() -> list[Path]:
    """Folders of runs that some destination on this tracking store has not received completely, or may not have."""
    return [folder for folder in list_runs() if (folder / names.DELIVERIES).exists() and _is_waiting(folder)]


def _is_waiting(folder: Path) -> bool:
    try:
        status, deliveries = read_status(folder), read_deliveries(folder)
    except BadInput:
        return True  # delivering it says what is wrong with it
    return status is not None and any(
        delivery["status"] != status["status"] or delivery["points"] < status["points"]
        for key, delivery in deliveries.items()
        if json.loads(key)[0] == names.shown_uri()
    )


def read_deliveries(folder: Path) -> dict[str, dict[str, Any]]:
    """What MLflow has received of a run, by `Destination.key`.

    Raises:
        BadInput: the file holds something else; naming it and what to do.
    """
    path = folder / names.DELIVERIES
    deliveries = read_json(path) or {}
    try:
        for key, delivery in deliveries.items():
            uri, *titles = json.loads(key)
            if not all(isinstance(each, str) for each in (uri, *titles)) or not titles:
                raise ValueError(key)
            if {"run_id", "points", "status"} - delivery.keys() or not isinstance(delivery["points"], int):
                raise ValueError(key)
    except (ValueError, TypeError, AttributeError):
        raise BadInput(f"{path} does not say what MLflow has received; delete it, and the run is sent again") from None
    return deliveries


def _deliver_one(
    client: "MlflowClient",
    folder: Path,
    description: dict[str, Any],
    status: dict[str, Any],
    experiment: str,
    parents: list[str],
    delivery: dict[str, Any],
) -> None:
    from mlflow.entities import Metric, RunTag

    result = read_json(folder / names.RESULT) if status["status"] == "FINISHED" else None
    if delivery["run_id"] is None:
        delivery["run_id"] = _begin(client, description, experiment, parents)
    run_id = delivery["run_id"]

    if status["status"] == "RUNNING" and delivery["status"] not in (None, "RUNNING"):
        client.update_run(run_id, status="RUNNING")
        client.set_tag(run_id, "resumed", "true")
    # Tags may come late (the doctor's verdict) or anew (another commit at a second try).
    tags = description["tags"] | ({"message": status["message"]} if status["message"] else {})
    tags |= {"weights_sha256": result["weights_sha256"]} if result else {}
    if delivery.get("tags") != (digest := hashlib.sha256(json.dumps(tags).encode()).hexdigest()):
        client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        delivery["tags"] = digest

    # A resumed run counts its points from its checkpoint again; those sent before are not sent twice.
    for points in _chunks(read_points(folder)[delivery["points"] :], POINTS_AT_ONCE):
        _send_metrics(
            client,
            run_id,
            [
                Metric(name, value, point["time_ms"], point["step"])
                for point in points
                for name, value in point["values"].items()
            ],
        )
        delivery["points"] += len(points)
    if result:
        numbers = [Metric(name, value, status["time_ms"], 0) for name, value in result["metrics"].items()]
        _send_metrics(client, run_id, numbers)
    if status["status"] != "RUNNING":
        for path in (folder / name for name in ARTIFACTS):
            if path.exists():
                client.log_artifact(run_id, str(path))
        client.set_terminated(run_id, status["status"], status["time_ms"])
    delivery["status"] = status["status"]


def _begin(client: "MlflowClient", description: dict[str, Any], experiment: str, parents: list[str]) -> str:
    """The id of the MLflow run with this description, its parameters and data sets; made if there is none."""
    from mlflow.entities import Param

    experiment_id = ensure_experiment(client, experiment)
    above = None
    for depth in range(len(parents)):
        above = ensure_parent(client, experiment_id, tuple(parents[: depth + 1]), above)
    identity = {names.HASH: description["hash"]}
    tags = description["tags"] | ({"mlflow.parentRunId": above} if above else {})
    tags |= {  # MLflow's columns Source and Version
        "mlflow.source.name": tags[names.COMMAND],
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": tags[names.COMMIT],
    }
    run_id = _find_or_create(client, experiment_id, identity, tags, description["title"], description["started_ms"])
    for chunk in _chunks([Param(name, value) for name, value in description["params"].items()], MOST_PARAMS):
        client.log_batch(run_id, params=chunk)
    client.log_inputs(run_id, [_input(description, dataset) for dataset in description.get("datasets", [])])
    return run_id


def _input(description: dict[str, Any], dataset: dict[str, Any]) -> Any:
    """A training split as MLflow shows it in the column Dataset and on the run's page."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    role = "target with labels" if dataset["role"] == "target" and dataset["labels"] else dataset["role"]
    schema = [{"type": "tensor", "tensor-spec": {"dtype": dataset["dtype"], "shape": [-1, *dataset["shape"]]}}]
    return DatasetInput(
        Dataset(
            name=f"{dataset['domain']}, {role}",
            digest=description["tags"][names.DATA_FINGERPRINT][:8],  # as long as MLflow's own
            source_type="code",
            source=json.dumps(
                {"tags": {"mlflow.source.name": f"datasets.load_pair({description['params']['pair']!r})"}}
            ),
            schema=json.dumps({"mlflow_tensorspec": {"features": json.dumps(schema), "targets": None}}),
            profile=json.dumps({"num_rows": dataset["count"]}),
        ),
        [InputTag("mlflow.data.context", "training")],
    )


def _send_metrics(client: "MlflowClient", run_id: str, metrics: list[Any]) -> None:
    for chunk in _chunks(metrics, MOST_METRICS):
        client.log_batch(run_id, metrics=chunk)


def ensure_experiment(client: "MlflowClient", name: str) -> str:
    """The id of the MLflow experiment called `name`, created if there is none."""
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found else client.create_experiment(name, artifact_location=names.artifact_root())


def ensure_parent(client: "MlflowClient", experiment_id: str, path: tuple[str, ...], above: str | None) -> str:
    """The id of the run that stands for a study or a trial, named by its path of titles, created if there is none."""
    kind = ("study", "trial")[len(path) - 1]
    tags = {names.KIND: kind, names.PATH: "/".join(path)} | ({"mlflow.parentRunId": above} if above else {})
    return _find_or_create(client, experiment_id, {names.PATH: "/".join(path)}, tags, path[-1], None)


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
    if start_ms is not None:  # another recording of the same experiment is another run
        wanted += f" and attributes.start_time = {start_ms}"
    found = client.search_runs([experiment_id], wanted, max_results=1)
    if found:
        return found[0].info.run_id
    return client.create_run(experiment_id, start_time=start_ms, tags=tags, run_name=name).info.run_id


class _deliveries:
    """`deliveries.json` of a run, locked while it is open, written back even when sending broke off."""

    def __init__(self, folder: Path):
        self.path = folder / names.DELIVERIES
        self.lock = filelock.FileLock(folder / "deliveries.lock")

    def __enter__(self) -> dict[str, Any]:
        with writing_to(self.path.parent.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.lock.acquire()
        self.before = read_deliveries(self.path.parent)
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
