"""A finished run into MLflow's own SQLite file in one transaction: it is there whole or not at all.

Through MLflow's client the same rows take 20 transactions and more than ten times the CPU, most of it for an object a
point. Where anything is not as it was when this was written, nothing is inserted, and the client is taken.
"""

import math
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from experiments.record import names
from experiments.record.whole import Whole

SCHEMA = "dc11669786a5"  # the version of MLflow's tables that these statements are written for
BUSY_S = 20.0
LONGEST_PARAM, LONGEST_TAG = 6000, 8000
LARGEST = 1.7976931348623157e308  # stands for infinity


def insert_run(experiment_id: str, parent: str | None, whole: Whole) -> str | None:
    """Insert a run that has ended, unless MLflow has it already.

    Returns:
        Its id; None where the client must be taken: another kind of store, tables that are not known, values that
        MLflow cuts off, or a run that is there, perhaps in part.
    """
    path = names.sqlite_path()
    lengths = (max(map(len, values.values()), default=0) for values in (whole.params, whole.tags))
    if path is None or any(length > most for length, most in zip(lengths, (LONGEST_PARAM, LONGEST_TAG), strict=True)):
        return None
    run_id = uuid.uuid4().hex
    with _writing(path) as database:
        if database.execute("SELECT version_num FROM alembic_version").fetchall() != [(SCHEMA,)]:
            return None
        [(location, stage)] = database.execute(
            "SELECT artifact_location, lifecycle_stage FROM experiments WHERE experiment_id = ?", (int(experiment_id),)
        ).fetchall()
        is_usual = urlsplit(location).scheme == "file" and stage == "active"
        if not is_usual or _is_there(database, experiment_id, parent, whole):
            return None
        _copy(whole.files, Path(unquote(urlsplit(location).path), run_id, "artifacts"))
        for table, rows in _rows(database, run_id, experiment_id, f"{location}/{run_id}/artifacts", parent, whole):
            if not rows:
                continue
            columns, marks = (", ".join(form.format(name) for name in rows[0]) for form in ('"{}"', ":{}"))
            database.executemany(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", rows)
    return run_id


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


def _is_there(database: sqlite3.Connection, experiment_id: str, parent: str | None, whole: Whole) -> bool:
    # Another process may have begun it through the client and died before it noted so.
    same_start = database.execute(
        "SELECT run_uuid FROM runs WHERE start_time = ? AND experiment_id = ?", (whole.started_ms, int(experiment_id))
    )
    for (run_id,) in same_start.fetchall():
        tags = dict(database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run_id,)))
        if tags.get(names.HASH) == whole.hash and tags.get("mlflow.parentRunId") == parent:
            return True
    return False


def _copy(files: list[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        shutil.copy(path, folder)  # with its mode: a patch is for its owner alone


def _rows(
    database: sqlite3.Connection, run_id: str, experiment_id: str, artifacts: str, parent: str | None, whole: Whole
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Table by table, what MLflow writes for such a run."""
    yield (
        "runs",
        [
            {
                "run_uuid": run_id,
                "name": whole.title,
                "source_type": "UNKNOWN",
                "source_name": "",
                "entry_point_name": "",
                "user_id": "unknown",
                "status": whole.status,
                "start_time": whole.started_ms,
                "end_time": whole.ended_ms,
                "source_version": "",
                "lifecycle_stage": "active",
                "artifact_uri": artifacts,
                "experiment_id": int(experiment_id),
            }
        ],
    )
    tags = {"mlflow.runName": whole.title} | whole.tags | whole.tags_of_mlflow(parent)
    for table, values in (("tags", tags), ("params", whole.params)):
        yield table, [{"key": key, "value": value, "run_uuid": run_id} for key, value in values.items()]

    points = [(p["step"], p["time_ms"], name, value) for p in whole.points for name, value in p["values"].items()]
    points += [(0, whole.ended_ms, name, value) for name, value in whole.metrics.items()]
    latest: dict[str, tuple[int, int, float, bool]] = {}
    metrics = []
    for step, time_ms, key, number in points:
        number = float(number)
        value = 0.0 if math.isnan(number) else min(max(number, -LARGEST), LARGEST)
        row = (step, time_ms, value, math.isnan(number))
        latest[key] = max(latest.get(key, row), row)
        metrics.append((key, row))
    for table, entries in (("metrics", metrics), ("latest_metrics", list(latest.items()))):
        yield (
            table,
            [
                {"key": key, "value": value, "timestamp": time_ms, "step": step, "is_nan": nan, "run_uuid": run_id}
                for key, (step, time_ms, value, nan) in entries
            ],
        )

    for dataset in whole.datasets:
        place = {"experiment_id": int(experiment_id), "name": dataset["name"], "digest": dataset["digest"]}
        known = database.execute(
            "SELECT dataset_uuid FROM datasets WHERE experiment_id = :experiment_id AND name = :name"
            " AND digest = :digest",
            place,
        ).fetchone()
        dataset_id, input_id = known[0] if known else uuid.uuid4().hex, uuid.uuid4().hex
        described = {f"dataset_{name}": dataset[name] for name in ("source_type", "source", "schema", "profile")}
        yield "datasets", [{"dataset_uuid": dataset_id, **place, **described}]
        ends = {"source_type": "DATASET", "source_id": dataset_id, "destination_type": "RUN", "destination_id": run_id}
        yield "inputs", [{"input_uuid": input_id, **ends}]
        yield "input_tags", [{"input_uuid": input_id, "name": "mlflow.data.context", "value": "training"}]
