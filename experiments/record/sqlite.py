"""MLflow's own SQLite file without its client: a run in one transaction, whole or not at all, and many runs read.

Through the client the same rows take 20 transactions and more than ten times the CPU, most of it for an object a point;
read, an object a number. Where anything is not as it was when this was written, the client is taken.
"""

import math
import shutil
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from experiments.record import names
from experiments.record.store import open_file
from experiments.record.whole import Whole

SCHEMA = "dc11669786a5"  # the version of MLflow's tables that these statements are written for
BUSY_S = 20.0
LONGEST_PARAM, LONGEST_TAG = 6000, 8000
LARGEST = 1.7976931348623157e308  # stands for infinity

# What stays as it was first written is ignored, what has news replaces it; of a metric the latest point counts.
UPSERT = {
    "runs": "ON CONFLICT DO UPDATE SET status = excluded.status, end_time = excluded.end_time, name = excluded.name",
    "tags": "ON CONFLICT DO UPDATE SET value = excluded.value",
    "latest_metrics": "ON CONFLICT DO UPDATE SET value = excluded.value, timestamp = excluded.timestamp, "
    "step = excluded.step, is_nan = excluded.is_nan WHERE (excluded.step, excluded.timestamp, excluded.value) > "
    "(latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)",
}
Rows = list[dict[str, Any]]


def write_run(
    experiment_id: str, parent: str | None, whole: Whole, run_id: str | None = None, first_point: int = 0
) -> str | None:
    """Write what MLflow has not received of a run.

    Args:
        experiment_id: Of the MLflow experiment.
        parent: Id of the run above, if there is one.
        whole: The run.
        run_id: Its id in MLflow, if one is noted; else it is looked for, and made if it is not there.
        first_point: Where in the curves to begin.

    Returns:
        Its id; None where the client must be taken: another kind of store, tables that are not known, values that
        MLflow cuts off, an experiment that was deleted or keeps its files elsewhere.
    """
    path = names.sqlite_path()
    lengths = (max(map(len, values.values()), default=0) for values in (whole.params, whole.tags))
    if path is None or any(length > most for length, most in zip(lengths, (LONGEST_PARAM, LONGEST_TAG), strict=True)):
        return None
    with _writing(path) as database:
        if not _is_known(database):
            return None
        [(location, stage)] = database.execute(
            "SELECT artifact_location, lifecycle_stage FROM experiments WHERE experiment_id = ?", (int(experiment_id),)
        ).fetchall()
        if urlsplit(location).scheme != "file" or stage != "active":
            return None
        run_id = run_id or _find(database, experiment_id, parent, whole) or uuid.uuid4().hex
        artifacts = f"{location}/{run_id}/artifacts"
        _copy(whole.files, Path(unquote(urlsplit(artifacts).path)))
        for table, rows in _rows(database, run_id, experiment_id, artifacts, parent, whole, first_point):
            if rows:
                columns, marks = (", ".join(form.format(name) for name in rows[0]) for form in ('"{}"', ":{}"))
                conflict = UPSERT.get(table, "ON CONFLICT DO NOTHING")
                database.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks}) {conflict}", rows)
    return run_id


def read_runs(experiment_ids: Sequence[str], kind: str) -> list[dict[str, Any]] | None:
    """What MLflow's client finds of active runs of a kind, the oldest first.

    Returns:
        A run each: run_id, experiment_id, status, artifact_uri, start_time and end_time (ms), and by name its params,
        metrics (the last value of each) and tags; None where the client must be taken.
    """
    path = names.sqlite_path()
    if path is None:
        return None
    wanted = f"SELECT run_uuid FROM runs WHERE experiment_id IN ({', '.join('?' * len(experiment_ids))})"
    asked = [int(experiment_id) for experiment_id in experiment_ids]
    with closing(open_file(path)) as database:
        if not _is_known(database):
            return None
        found = database.execute(
            "SELECT run_uuid, CAST(experiment_id AS TEXT), status, artifact_uri, start_time, end_time FROM runs"
            f" WHERE run_uuid IN ({wanted}) AND lifecycle_stage = 'active' AND run_uuid IN"
            " (SELECT run_uuid FROM tags WHERE key = ? AND value = ?)"
            " ORDER BY start_time IS NULL, start_time, run_uuid",
            [*asked, names.KIND, kind],
        )
        columns = ("run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time")
        runs: dict[str, dict[str, Any]] = {
            row[0]: dict(zip(columns, row, strict=True)) | {"params": {}, "metrics": {}, "tags": {}} for row in found
        }
        last = "iif(is_nan, NULL, value)"
        for table, value in (("params", "value"), ("latest_metrics", last), ("tags", "value")):
            part = table.removeprefix("latest_")
            every = f"SELECT run_uuid, key, {value} FROM {table} WHERE run_uuid IN ({wanted}) ORDER BY rowid"
            for run_id, name, number in database.execute(every, asked):
                if run_id in runs:
                    runs[run_id][part][name] = math.nan if number is None else number
    return list(runs.values())


def _is_known(database: sqlite3.Connection) -> bool:
    return database.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA,)]


@contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    # All or nothing; SQLite itself undoes what a killed process has begun.
    with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def _find(database: sqlite3.Connection, experiment_id: str, parent: str | None, whole: Whole) -> str | None:
    # A process may have begun it and died before it noted so.
    same_start = database.execute(
        "SELECT run_uuid FROM runs WHERE start_time = ? AND experiment_id = ?", (whole.started_ms, int(experiment_id))
    )
    for (run_id,) in same_start.fetchall():
        tags = dict(database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run_id,)))
        if tags.get(names.HASH) == whole.hash and tags.get("mlflow.parentRunId") == parent:
            return run_id
    return None


def _copy(files: list[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        shutil.copy(path, folder)  # with its mode: a patch is for its owner alone


def _rows(
    database: sqlite3.Connection,
    run_id: str,
    experiment_id: str,
    artifacts: str,
    parent: str | None,
    whole: Whole,
    first_point: int,
) -> Iterator[tuple[str, Rows]]:
    """Table by table, what MLflow's client writes for such a run."""
    run = {"run_uuid": run_id, "name": whole.title, "source_type": "UNKNOWN", "source_name": "", "source_version": ""}
    run |= {"entry_point_name": "", "user_id": "unknown", "lifecycle_stage": "active", "artifact_uri": artifacts}
    run |= {"status": whole.status, "start_time": whole.started_ms, "experiment_id": int(experiment_id)}
    yield "runs", [run | {"end_time": None if whole.status == "RUNNING" else whole.ended_ms}]
    tags = {"mlflow.runName": whole.title} | whole.tags | whole.tags_of_mlflow(parent)
    for table, values in (("tags", tags), ("params", whole.params)):
        yield table, [{"key": key, "value": value, "run_uuid": run_id} for key, value in values.items()]

    metrics: Rows = []
    latest: dict[str, tuple[tuple[int, int, float], dict[str, Any]]] = {}
    for step, time_ms, key, number in whole.numbers(first_point):
        value = 0.0 if math.isnan(number) else min(max(number, -LARGEST), LARGEST)
        row = {"key": key, "value": value, "timestamp": time_ms, "step": step, "is_nan": math.isnan(number)}
        metrics.append(row | {"run_uuid": run_id})
        if key not in latest or latest[key][0] < (step, time_ms, value):
            latest[key] = ((step, time_ms, value), metrics[-1])
    yield "metrics", metrics
    yield "latest_metrics", [row for _, row in latest.values()]

    for dataset in whole.datasets:
        place = {"experiment_id": int(experiment_id), "name": dataset["name"], "digest": dataset["digest"]}
        known = database.execute(
            "SELECT dataset_uuid FROM datasets WHERE experiment_id = :experiment_id AND name = :name"
            " AND digest = :digest",
            place,
        ).fetchone()
        dataset_id = known[0] if known else uuid.uuid4().hex
        described = {f"dataset_{name}": dataset[name] for name in ("source_type", "source", "schema", "profile")}
        yield "datasets", [{"dataset_uuid": dataset_id, **place, **described}]
        ends = {"source_type": "DATASET", "source_id": dataset_id, "destination_type": "RUN", "destination_id": run_id}
        input_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{dataset_id} {run_id}").hex  # the same at every delivery
        yield "inputs", [{"input_uuid": input_id, **ends}]
        yield "input_tags", [{"input_uuid": input_id, "name": "mlflow.data.context", "value": "training"}]
