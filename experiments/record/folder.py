"""A run's own folder: what a training writes there, and how others read it."""

import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments.errors import BadInput, RunInUse
from experiments.record.files import claim, read_json, write_atomically, write_json, writing_to
from experiments.record.forms import POINT, find_misfit
from experiments.record.names import (
    COMMIT,
    CURVES,
    DATA_FINGERPRINT,
    DIFF,
    FOREIGN_SOURCE,
    HARDWARE,
    POINTS,
    PROGRAM,
    PROGRESS,
    RESULT,
    RUN,
    STATUS,
    VERSIONS,
    check_metric_name,
    runs_root,
)

SHOWN_EVERY_S = 0.5
# What must be the same where a run goes on, and what it is called.
INPUTS = {DATA_FINGERPRINT: "data of fingerprint", FOREIGN_SOURCE: "foreign source of digest"}
# What may be another where a run goes on, and is noted then.
NOTED = (COMMIT, DIFF, VERSIONS, HARDWARE, PROGRAM)


def folder_of(name: str) -> Path:
    """The folder of the run with this hash."""
    return runs_root() / name


def list_runs() -> list[Path]:
    """The folders of all runs; what else lies between them is left alone."""
    return sorted(path.parent for path in runs_root().glob(f"[!.]*/{RUN}") if path.is_file())


def read_status(folder: Path) -> dict[str, Any] | None:
    """State, number of final points and message of a run; None before its first start."""
    return read_json(folder / STATUS, needs=("status", "points", "message", "time_ms"))


def is_finished(folder: Path) -> bool:
    """Whether a run's folder has a result and, written after it, the status FINISHED."""
    return (folder / RESULT).exists() and (read_status(folder) or {}).get("status") == "FINISHED"


def add_tags(folder: Path, tags: Mapping[str, str]) -> None:
    """Add to the tags of the run in this folder."""
    description = read_json(folder / RUN, needs=("tags",))
    assert description is not None
    write_json(folder / RUN, description | {"tags": description["tags"] | dict(tags)})


class Recording:
    """Description, curves and result of one claimed run.

    Points wait in memory until `keep` makes them final, right before the checkpoint that counts them: what the file
    holds beyond it is cut off on resume, because the resumed run will say it again.
    """

    def __init__(self, folder: Path, description: dict[str, Any], resumed_points: int | None = None):
        self.folder = folder
        self._pending: list[str] = []
        self._shown_s = 0.0
        begun = read_json(folder / RUN, needs=("tags", "started_ms"))
        if resumed_points is not None and begun is not None:
            self._compare(begun["tags"], description["tags"])
        self._points = self._cut_points(resumed_points or 0)
        if resumed_points is None or begun is None:
            write_json(folder / RUN, description | {"started_ms": _now_ms()})
        self.mark("RUNNING")

    def _compare(self, begun: dict[str, str], now: dict[str, str]) -> None:
        for name, what in INPUTS.items():
            if begun.get(name) != now.get(name):
                raise BadInput(
                    f"run {self.folder.name} was begun on {what} {begun.get(name)}, here it is {now.get(name)}; bring "
                    f"back what it was begun on, or delete {self.folder} to start anew"
                )
        changed = {f"resumed_{name}": now[name] for name in NOTED if name in now and begun.get(name) != now[name]}
        if changed:
            add_tags(self.folder, changed)

    def _cut_points(self, count: int) -> int:
        path = self.folder / POINTS
        if count:
            _parse(path, count)  # said now, and not when the training is over
        lines = path.read_bytes().splitlines(keepends=True) if count else []
        write_atomically(path, b"".join(lines[:count]))
        return count

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Remember one point of the curves.

        Raises:
            BadInput: MLflow would refuse the name of a value.
        """
        for name in values:
            check_metric_name(name)
        point = {"step": step, "time_ms": _now_ms(), "values": dict(values)}
        self._pending.append(json.dumps(point, allow_nan=False) + "\n")

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """Let whoever watches the folder see how far the training is; not more often than is worth looking at."""
        now_s = time.monotonic()
        if now_s - self._shown_s >= SHOWN_EVERY_S:
            self._shown_s = now_s
            with suppress(BadInput):  # a disk that is full says so at the next checkpoint
                write_json(self.folder / PROGRESS, {"step": step, "values": dict(values)}, durable=False)

    def points(self) -> list[dict[str, Any]]:
        """Every point of the run so far."""
        final = (self.folder / POINTS).read_text().splitlines()
        return [json.loads(line) for line in [*final, *self._pending]]

    def keep(self) -> int:
        """Make all points so far final on the disk; returns how many there are."""
        with writing_to(self.folder), (self.folder / POINTS).open("a") as file:
            file.writelines(self._pending)
            file.flush()
            os.fsync(file.fileno())
        self._points += len(self._pending)
        self._pending.clear()
        return self._points

    def finish(self, result: dict[str, Any]) -> None:
        """Make the run done: from here on it is skipped."""
        self.keep()
        write_json(self.folder / RESULT, result)
        self.mark("FINISHED")

    def fail(self, message: str) -> None:
        """Mark the run as failed and keep the points that led there."""
        self.keep()
        self.mark("FAILED", message)

    def is_running(self) -> bool:
        """Whether neither its end nor its failure has been recorded."""
        return (read_status(self.folder) or {"status": "RUNNING"})["status"] == "RUNNING"

    def mark(self, status: str, message: str = "") -> None:
        """State of the run and number of final points, for whoever delivers it."""
        write_json(
            self.folder / STATUS, {"status": status, "points": self._points, "message": message, "time_ms": _now_ms()}
        )
        if status != "RUNNING":
            with suppress(OSError):  # it is only shown
                (self.folder / PROGRESS).unlink()


def mark_stopped(folder: Path, message: str) -> None:
    """Say of a run that waits for more steps that none will come; one that has ended is left as it is."""
    with suppress(RunInUse), claim(folder):
        status = read_status(folder)
        if status and status["status"] == "RUNNING":
            stopped = {"status": "KILLED", "message": message, "time_ms": _now_ms()}
            write_json(folder / STATUS, status | stopped)


def read_points(folder: Path) -> list[dict[str, Any]]:
    """All final points of a run.

    Raises:
        BadInput: the file lacks one, or holds something else.
    """
    status = read_status(folder)
    if status is None or not status["points"]:
        return []
    return _parse(folder / POINTS, status["points"])


def write_curves(folder: Path, points: Sequence[Mapping[str, Any]], *, durable: bool = True) -> None:
    """Keep the curves as a table, too: columns step, metric, value."""
    import pyarrow as pa  # by itself: a worker imports it in a fraction of pandas' time
    import pyarrow.parquet as pq

    rows = [(point["step"], name, value) for point in points for name, value in point["values"].items()]
    steps, metrics, values = zip(*rows, strict=True) if rows else ((), (), ())
    table = pa.table(
        {
            "step": pa.array(steps, pa.int64()),
            "metric": pa.array(metrics, pa.string()),
            "value": pa.array(values, pa.float64()),
        }
    )
    content = io.BytesIO()
    pq.write_table(table, content)
    write_atomically(folder / CURVES, content.getbuffer(), durable=durable)


def _parse(path: Path, count: int) -> list[dict[str, Any]]:
    # The first points of a file, which somebody has counted.
    try:
        points = [json.loads(line) for line in path.read_bytes().splitlines()[:count]]
        if len(points) < count:
            raise ValueError(f"it has {len(points)} points of {count}")
        if misfit := find_misfit(points, [POINT], "its lines"):
            raise ValueError(misfit)
    except (ValueError, RecursionError, OSError) as error:
        raise BadInput(f"{path} cannot be used: {error}; delete {path.parent} to train this run again") from None
    return points


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
