"""From a run's folder to MLflow: repeatable, and never in the way of a training.

`deliver` sends what MLflow has not received yet and notes how far it came, so calling it after every checkpoint gives
live curves, and calling it after an outage sends the rest. Sending the same points twice is harmless: MLflow drops
exact repetitions. Every step of it may therefore break off at any moment and is simply done again. While it waits for
the store it holds no lock that a training could need.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import filelock

from experiments.errors import BadInput
from experiments.record import names
from experiments.record.deliveries import (
    NOTHING,
    Deliveries,
    Destination,
    address,
    addressed,
    change,
    here,
    read_deliveries,
    readdress,
    undelivered,
)
from experiments.record.files import locked, read_json, writing_to
from experiments.record.folder import read_status
from experiments.record.sqlite import write_run
from experiments.record.store import REQUEST_TIMEOUT_S, Unreachable, find_experiment, find_states, first_line
from experiments.record.views import describe_views
from experiments.record.whole import Whole, describe_whole

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "Destination",
    "address",
    "addressed",
    "deliver",
    "deliver_all",
    "ensure_experiment",
    "ensure_parent",
    "forget_lost",
    "read_deliveries",
    "readdress",
    "undelivered",
]

# Limits of one log_batch call.
MOST_METRICS, MOST_PARAMS, MOST_TAGS = 1000, 100, 100
# What has arrived is noted after so many points: a store that breaks off again and again gets further each time.
POINTS_AT_ONCE = 100


def deliver(client: "MlflowClient", folder: Path) -> None:
    """Send to every destination on this tracking store what it has not received yet, or has lost.

    Raises:
        BadInput: a file of the run cannot be used.
        Unreachable: the store failed; what it has received is remembered.
    """
    deliver_all(client, [folder])


def deliver_all(client: "MlflowClient", folders: Sequence[Path]) -> None:
    """Deliver many runs; the store is asked once what it has of them, and one that fails is no trouble of the others.

    Raises:
        BadInput: a file of a run cannot be used.
        Unreachable: the store failed.
    """
    troubles: list[Exception] = []
    forget_lost(client, folders)
    for folder in folders:
        try:
            _deliver_one(client, folder)
        except (BadInput, Unreachable) as error:
            troubles.append(error)
    if troubles:
        more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
        raise type(troubles[0])(f"{troubles[0]}{more}")


def forget_lost(client: "MlflowClient", folders: Sequence[Path]) -> None:
    """Ask the store what it has of runs that it is noted to have: one that was deleted or replaced is filled again.

    Raises:
        Unreachable: the store failed.
    """
    noted: dict[str, tuple[Path, str, str]] = {}
    for folder in folders:
        for key, delivery in _readable(folder).items():
            if here(key) and delivery["run_id"] and delivery["status"]:
                noted[delivery["run_id"]] = (folder, key, delivery["status"])
    try:
        states = find_states(client, list(noted))
    except Exception as error:
        raise Unreachable(f"MLflow store {names.shown_uri()} does not say what it has: {first_line(error)}") from error
    for run_id, (folder, key, status) in noted.items():
        if states.get(run_id) != status:
            kept = {"run_id": run_id} if run_id in states else {}
            change(folder, lambda deliveries, key=key, kept=kept: deliveries.update({key: NOTHING | kept}))


def _readable(folder: Path) -> Deliveries:
    try:
        return read_deliveries(folder)
    except BadInput:
        return {}  # delivering it says what is wrong with it


def _deliver_one(client: "MlflowClient", folder: Path) -> None:
    if all(not here(key) or each["status"] == "FINISHED" for key, each in read_deliveries(folder).items()):
        return
    status = read_status(folder)
    description = read_json(folder / names.RUN, needs=("hash", "title", "params", "tags", "started_ms"))
    if description is None or status is None:
        return
    with _sending(folder):
        for key, delivery in read_deliveries(folder).items():
            destination = here(key)
            if destination is None or delivery["status"] == "FINISHED":
                continue
            whole = describe_whole(folder, description, status)
            try:
                _send(client, whole, destination, delivery)
            except BadInput:
                raise
            except Exception as error:
                _places.pop(client, None)
                reason = f"MLflow store {names.shown_uri()} did not take run {folder.name}: {first_line(error)}"
                raise Unreachable(reason) from error
            finally:  # what has arrived before it broke off has arrived
                change(folder, lambda deliveries, key=key, now=delivery: deliveries.update({key: now}))


class _sending:
    """One process at a time sends a run; whoever finds another one at it leaves it to that one's next attempt."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = filelock.FileLock(folder / "sending.lock", timeout=REQUEST_TIMEOUT_S)

    def __enter__(self) -> None:
        with writing_to(self._folder):
            try:
                self._lock.acquire()
            except filelock.Timeout:
                raise Unreachable(f"another process is sending run {self._folder.name}") from None

    def __exit__(self, *exception: object) -> None:
        self._lock.release()


def _send(client: "MlflowClient", whole: Whole, destination: Destination, delivery: dict[str, Any]) -> None:
    """Send what is missing of one run; `delivery` is kept up to date on the way."""
    if delivery.get("started_ms", whole.started_ms) != whole.started_ms:  # begun anew: another run in MLflow, too
        delivery |= NOTHING
    delivery["started_ms"] = whole.started_ms
    if delivery["status"] in ("KILLED", "FAILED"):
        whole.tags.setdefault("message", "")  # why it had stopped is past
    if whole.status == "RUNNING" and delivery["status"] not in (None, "RUNNING"):
        whole.tags["resumed"] = "true"
    experiment_id, parent = _place_of(client, destination)
    # A resumed run counts its points from its checkpoint again; those sent before are not sent twice.
    if run_id := write_run(experiment_id, parent, whole, delivery["run_id"], delivery["points"]):
        points = max(delivery["points"], len(whole.points))
        delivery |= {"run_id": run_id, "points": points, "status": whole.status}
        return
    if delivery["run_id"] is None:
        delivery["run_id"] = _begin(client, whole, experiment_id, parent)
    _go_on(client, whole, delivery)


def _go_on(client: "MlflowClient", whole: Whole, delivery: dict[str, Any]) -> None:
    from mlflow.entities import Metric, RunTag

    run_id = delivery["run_id"]
    if whole.status == "RUNNING" and delivery["status"] not in (None, "RUNNING"):
        client.update_run(run_id, status="RUNNING")
    # Tags may come late (the doctor's verdict) or anew (another commit at a second try).
    digest = hashlib.sha256(json.dumps(whole.tags).encode()).hexdigest()
    if delivery.get("tags") != digest:
        for chunk in _chunks([RunTag(name, value) for name, value in whole.tags.items()], MOST_TAGS):
            client.log_batch(run_id, tags=chunk)
        delivery["tags"] = digest

    for points in _chunks(whole.points[delivery["points"] :], POINTS_AT_ONCE):
        rows = [
            Metric(name, value, point["time_ms"], point["step"])
            for point in points
            for name, value in point["values"].items()
        ]
        for chunk in _chunks(rows, MOST_METRICS):
            client.log_batch(run_id, metrics=chunk)
        delivery["points"] += len(points)
    if whole.metrics:
        numbers = [Metric(name, value, whole.ended_ms, 0) for name, value in whole.metrics.items()]
        client.log_batch(run_id, metrics=numbers)
    if whole.status != "RUNNING":
        for path in whole.files:
            client.log_artifact(run_id, str(path))
        client.set_terminated(run_id, whole.status, whole.ended_ms)
    delivery["status"] = whole.status


def _begin(client: "MlflowClient", whole: Whole, experiment_id: str, parent: str | None) -> str:
    """The id of the MLflow run of this recording, its parameters and data sets; made if there is none."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    tags = whole.tags | whole.tags_of_mlflow(parent)
    identity = {names.HASH: whole.hash}
    run_id = _find_or_create(client, experiment_id, identity, tags, whole.title, whole.started_ms)
    for chunk in _chunks([Param(name, value) for name, value in whole.params.items()], MOST_PARAMS):
        client.log_batch(run_id, params=chunk)
    context = [InputTag("mlflow.data.context", "training")]
    client.log_inputs(run_id, [DatasetInput(Dataset(**each), context) for each in whole.datasets])
    return run_id


_places: WeakKeyDictionary["MlflowClient", dict[Destination, tuple[str, str | None]]] = WeakKeyDictionary()


def _place_of(client: "MlflowClient", destination: Destination) -> tuple[str, str | None]:
    # Ids of the experiment and of the run above; asked of the store once, and again after any failure.
    known = _places.setdefault(client, {})
    if destination not in known:
        if not destination.parents:
            known[destination] = ensure_experiment(client, destination.experiment), None
        else:
            above = Destination(destination.experiment, destination.parents[:-1])
            experiment_id, parent = _place_of(client, above)
            known[destination] = experiment_id, ensure_parent(client, experiment_id, destination.parents, parent)
    return known[destination]


def ensure_experiment(client: "MlflowClient", name: str) -> str:
    """The id of the MLflow experiment called `name`, created if there is none.

    Raises:
        Unreachable: a person has deleted it; how it is brought back.
    """
    with _creating():
        found = find_experiment(client, name)
        if found:
            return found.experiment_id
        tags = {names.NOTE: describe_experiment(name)} | describe_views()
        return client.create_experiment(name, names.artifact_root(), tags)


def describe_experiment(name: str) -> str:
    """What an MLflow experiment holds and how its runs are compared, in Markdown."""
    if name.startswith("sweep_"):
        return (
            "Studies, below each its trials, below each trial its runs, one a seed. "
            f"`python -m sweeps show {name.removeprefix('sweep_')}` and `report` say who won."
        )
    return (
        f"Runs of `{name}`, one a seed; names begin with what differs. **Table**: `python -m results build {name}`, "
        "kept here as the run `report`.\n\n"
        "**Compare**: *Views*, *mean over seeds*, then the chart view; *every run* has the columns that matter. "
        "`target_accuracy` is on the test split, `domain_loss` reads ln 2 = 0.693 where "
        "domains are confused, `proxy_a_distance` says whether they are."
    )


def ensure_parent(client: "MlflowClient", experiment_id: str, path: tuple[str, ...], above: str | None) -> str:
    """The id of the run that stands for a study or a trial, named by its path of titles, created if there is none."""
    kind = ("study", "trial")[len(path) - 1]
    tags = {names.KIND: kind, names.PATH: "/".join(path)} | ({"mlflow.parentRunId": above} if above else {})
    with _creating():
        return _find_or_create(client, experiment_id, {names.PATH: "/".join(path)}, tags, path[-1], None)


def _creating() -> Any:
    # Two processes that look for the same experiment or study at once must not both make it.
    return locked(names.runs_root() / ".creating.lock")


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


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
