"""A run's own folder: claimed by one process, written so that a crash at any moment leaves it whole."""

import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import torch

from experiments.errors import BadInput, RunInUse
from experiments.experiment import Experiment
from experiments.record import (
    CHECKPOINT,
    COMMIT,
    DATA_FINGERPRINT,
    DELIVERIES,
    DIFF,
    POINTS,
    RESULT,
    RUN,
    STATUS,
    check_metric_name,
    runs_root,
)

CHECKPOINT_VERSION = 1


def folder_of(experiment: Experiment) -> Path:
    """The folder named by the experiment's hash."""
    return runs_root() / experiment.hash


def is_done(experiment: Experiment) -> bool:
    """Whether the run has been trained to its end and recorded."""
    return is_finished(folder_of(experiment))


def is_finished(folder: Path) -> bool:
    """Whether a run's folder has a result and, written after it, the status FINISHED."""
    return (folder / RESULT).exists() and (read_json(folder / STATUS) or {}).get("status") == "FINISHED"


@contextmanager
def writing_to(root: Path) -> Iterator[None]:
    """Turn a failure to write below `root` into one clear line."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"the results folder {root} cannot be written: {error.strerror}") from None


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write beside `path`, force it to disk, then rename: readers see the old file or the new one.

    Raises:
        BadInput: the folder is read-only or full; the old file is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing_to(path.parent):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """The content of `path`, or None where there is no such file."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise BadInput(f"{path} is not readable JSON ({error}); move it away to train this run again") from None


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold the run's folder; the operating system lets go of it when the process dies, however it dies.

    Raises:
        RunInUse: another process holds it.
        BadInput: the folder cannot be written.
    """
    with writing_to(folder.parent):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / "lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise RunInUse(f"another process is training {folder.name}") from None
        for left in folder.glob(".*"):  # half written by a process that was killed
            if DELIVERIES not in left.name:  # those are written under a lock of their own
                left.unlink(missing_ok=True)
    try:
        yield
    finally:
        lock.release()


def add_tags(folder: Path, tags: dict[str, str]) -> None:
    """Add to the tags of the run in this folder."""
    description = read_json(folder / RUN)
    write_json(folder / RUN, description | {"tags": description["tags"] | tags})


class Checkpoint:
    """The file that a training goes on from after a crash. It can be loaded with `weights_only=True`."""

    def __init__(self, folder: Path):
        self.path = folder / CHECKPOINT
        self.owner = folder.name

    def load(self) -> dict[str, Any] | None:
        """What was saved last, or None.

        Raises:
            BadInput: it cannot be read, was written by another version, or belongs to another training.
        """
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, weights_only=True)
            version, owner = state["version"], state["hash"]
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadInput(
                f"checkpoint {self.path} cannot be read ({reason}); delete it to start this run anew"
            ) from None
        if version != CHECKPOINT_VERSION:
            raise BadInput(f"checkpoint {self.path} has version {version}, this program reads {CHECKPOINT_VERSION}")
        if owner != self.owner:
            raise BadInput(f"checkpoint {self.path} belongs to run {owner}, not to {self.owner}")
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replace what was saved before."""
        content = io.BytesIO()
        torch.save(state | {"version": CHECKPOINT_VERSION, "hash": self.owner}, content)
        write_atomically(self.path, content.getbuffer())

    def drop(self) -> None:
        """Forget it: the training has come to its end."""
        self.path.unlink(missing_ok=True)


class Recording:
    """Description, curves and result of one claimed run.

    Points wait in memory until `keep` makes them final, right before the checkpoint that counts them: what the file
    holds beyond it is cut off on resume, because the resumed run will say it again.
    """

    def __init__(self, folder: Path, description: dict[str, Any], resumed_points: int | None = None):
        self.folder = folder
        self._pending: list[str] = []
        self._points = self._cut_points(resumed_points or 0)
        begun = read_json(folder / RUN)
        if resumed_points is None or begun is None:
            write_json(folder / RUN, description | {"started_ms": _now_ms()})
        else:
            self._compare(begun["tags"], description["tags"])
        self.mark("RUNNING")

    def _compare(self, begun: dict[str, str], now: dict[str, str]) -> None:
        if begun.get(DATA_FINGERPRINT) != now.get(DATA_FINGERPRINT):
            raise BadInput(
                f"run {self.folder.name} was begun on data of fingerprint {begun.get(DATA_FINGERPRINT)}, those here "
                f"have {now.get(DATA_FINGERPRINT)}; prepare those again, or delete {self.folder} to start anew"
            )
        changed = {
            f"resumed_{name}": now[name] for name in (COMMIT, DIFF) if name in now and begun.get(name) != now[name]
        }
        if changed:
            add_tags(self.folder, changed)

    def _cut_points(self, count: int) -> int:
        path = self.folder / POINTS
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        if len(lines) < count:
            raise BadInput(
                f"{path} has {len(lines)} points, its checkpoint counts {count}; delete the folder to start anew"
            )
        write_atomically(path, "".join(lines[:count]).encode())
        return count

    def log(self, step: int, values: dict[str, float]) -> None:
        """Remember one point of the curves.

        Raises:
            BadInput: MLflow would refuse the name of a value.
        """
        for name in values:
            check_metric_name(name)
        self._pending.append(json.dumps({"step": step, "time_ms": _now_ms(), "values": values}, allow_nan=False) + "\n")

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
        return (read_json(self.folder / STATUS) or {"status": "RUNNING"})["status"] == "RUNNING"

    def mark(self, status: str, message: str = "") -> None:
        """State of the run and number of final points, for whoever delivers it."""
        write_json(
            self.folder / STATUS, {"status": status, "points": self._points, "message": message, "time_ms": _now_ms()}
        )


def read_points(folder: Path) -> list[dict[str, Any]]:
    """All final points of a run."""
    status = read_json(folder / STATUS)
    if status is None or not status["points"]:
        return []
    return [json.loads(line) for line in (folder / POINTS).read_text().splitlines()[: status["points"]]]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
