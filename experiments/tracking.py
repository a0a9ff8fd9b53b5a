"""From a run's folder to MLflow: batched, repeatable, and never in the way of a training.

`deliver` sends what MLflow has not received yet and remembers how far it came, so calling it after every checkpoint
gives live curves, and calling it after an outage sends the rest. Sending the same points twice is harmless: MLflow
drops exact repetitions. Every step of it may therefore break off at any moment and is simply done again.
"""

import hashlib
import importlib.metadata
import json
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import filelock

from experiments import record
from experiments.errors import BadInput
from experiments.recording import read_json, read_points, write_json, writing_to

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Limits of one log_batch call.
MOST_METRICS, MOST_PARAMS = 1000, 100
# What has arrived is remembered after so many points: a store that breaks off again and again gets further each time.
POINTS_AT_ONCE = 100
# A server that is away must cost seconds, not the minutes of MLflow's default retries, which would repeat a request
# that has arrived and create a run twice; whoever delivers tries again, and looks before it creates.
REQUEST_TIMEOUT_S = 20
SERVERS, DATABASES = ("http", "https"), ("postgresql", "mysql", "mssql")
ARTIFACTS = (record.CURVES, record.FEATURES, record.CHANGES)


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


def check_tracking_uri() -> None:
    """Refuse a tracking URI that no store can have. Whether a store answers there is another question.

    Raises:
        BadInput: naming the variable, its value and what is allowed.
    """
    uri = record.tracking_uri()
    scheme, separator, rest = uri.partition("://")
    scheme = scheme.split("+")[0]  # mysql+pymysql
    plugins = {entry.name for entry in importlib.metadata.entry_points(group="mlflow.tracking_store")}
    if scheme in plugins or uri == "databricks":
        return
    if scheme == "sqlite":
        wrong = "" if rest.startswith("/") and rest.strip("/") else "there is no path of a file"
    elif not separator or scheme not in (*SERVERS, *DATABASES):
        wrong = f"scheme {scheme!r} is unknown" if separator else "there is no scheme"
    else:
        wrong = _find_wrong_host(uri)
    if wrong:
        servers = ", ".join(f"{name}://host" for name in (*SERVERS, *DATABASES, *sorted(plugins)))
        raise BadInput(f"MLFLOW_TRACKING_URI must be sqlite:///path or one of {servers}, got {uri!r}: {wrong}")


def _find_wrong_host(uri: str) -> str:
    if any(character.isspace() for character in uri):
        return "it contains a space"
    try:
        parts = urlsplit(uri)
        if not parts.hostname:
            return "the host is empty"
        return "the port must be 1 to 65535" if parts.port == 0 else ""
    except ValueError as error:
        return str(error)


def import_mlflow() -> None:
    """Import MLflow, which takes seconds, with patience and chatter as it suits this program."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(REQUEST_TIMEOUT_S))
    # A line per finished run in the middle of the progress bars.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside MLflow's own imports are not the user's business
        import mlflow  # noqa: F401
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


def open_client() -> "MlflowClient":
    """Connect to the tracking store, creating the default one at first use.

    Raises:
        BadInput: no store can have this tracking URI.
        Unreachable: with the address and the reason.
    """
    check_tracking_uri()
    uri = record.tracking_uri()
    try:
        import_mlflow()
        from mlflow import MlflowClient

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
    """Folders of runs that some destination on this tracking store has not received completely, or may not have."""
    return [
        path.parent for path in sorted(record.runs_root().glob(f"*/{record.DELIVERIES}")) if _is_waiting(path.parent)
    ]


def _is_waiting(folder: Path) -> bool:
    try:
        status, deliveries = read_json(folder / record.STATUS), read_json(folder / record.DELIVERIES)
    except BadInput:
        return True  # delivering it says what is wrong with it
    return status is not None and any(
        delivery["status"] != status["status"] or delivery["points"] < status["points"]
        for key, delivery in deliveries.items()
        if json.loads(key)[0] == record.tracking_uri()
    )


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

    result = read_json(folder / record.RESULT) if status["status"] == "FINISHED" else None
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
    identity = {record.HASH: description["hash"]}
    tags = description["tags"] | ({"mlflow.parentRunId": above} if above else {})
    tags |= {  # MLflow's columns Source and Version
        "mlflow.source.name": tags[record.COMMAND],
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": tags[record.COMMIT],
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
            digest=description["tags"][record.DATA_FINGERPRINT][:8],  # as long as MLflow's own
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
    if start_ms is not None:  # another recording of the same experiment is another run
        wanted += f" and attributes.start_time = {start_ms}"
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
