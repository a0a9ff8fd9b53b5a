"""Files of our own: written so that a crash at any moment leaves the old one or the new one, read with suspicion."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from experiments.errors import BadInput, RunInUse
from experiments.record.forms import FORMS, find_misfit

PRIVATE, READABLE = 0o600, 0o666  # the second less the user's umask
# Locks of small files are held for milliseconds; whoever waits longer has met a process that hangs.
LOCK_TIMEOUT_S = 60.0


@contextmanager
def writing_to(root: Path) -> Iterator[None]:
    """Turn a failure to write below `root` into one clear line."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"the results folder {root} cannot be written: {error.strerror}") from None


def write_atomically(path: Path, content: bytes | memoryview, *, durable: bool = True, mode: int = READABLE) -> None:
    """Write beside `path`, force it to disk, then rename: readers see the old file or the new one.

    Args:
        path: What to replace.
        content: All of it.
        durable: Wait for the disk; without, a crash of the machine may bring the old file back.
        mode: PRIVATE for what may hold a secret.

    Raises:
        BadInput: the folder is read-only or full; the old file is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing_to(path.parent):
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Replace `path` by a JSON value; NaN and infinity have none."""
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode(), durable=durable)


def read_json(
    path: Path, needs: Sequence[str] = (), *, remedy: str = "move {parent} away to train this run again"
) -> dict[str, Any] | None:
    """The JSON object in `path`, or None where there is no such file.

    Args:
        path: One of the files of `record.names`; what it holds of its form in `record.forms` has that form.
        needs: Keys without which it is of no use.
        remedy: What to do about one that cannot be used.

    Raises:
        BadInput: it is no JSON object, lacks a key, or holds something else in one; naming the file and what to do.
    """
    try:
        value = json.loads(path.read_bytes())
        form = FORMS.get(path.name, {})
        if isinstance(value, dict):
            form = {key: each for key, each in form.items() if key in value or key is ...} | dict.fromkeys(
                [key for key in needs if key not in value], object
            )
        if misfit := find_misfit(value, form):
            raise ValueError(misfit)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError, OSError) as error:  # decoding errors are ValueErrors
        raise BadInput(f"{path} cannot be used: {error}; {remedy.format(parent=path.parent)}") from None
    return value


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock for a moment, within which no other process or thread does.

    Raises:
        BadInput: it cannot be made, or another process has held it for a minute.
    """
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path, timeout=LOCK_TIMEOUT_S)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise BadInput(f"another process has held {path} for {LOCK_TIMEOUT_S:.0f} s; end it") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold the run's folder; the operating system lets go of it when the process dies, however it dies.

    Raises:
        RunInUse: another process holds it.
        BadInput: the folder cannot be written.
    """
    with writing_to(folder.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with writing_to(folder):
        lock = filelock.FileLock(folder / "lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise RunInUse(f"another process is training {folder.name}") from None
        for left in folder.glob(".*.*[0-9]"):  # half written by a process that was killed
            if "deliveries" not in left.name and left.is_file():  # those are written under a lock of their own
                left.unlink(missing_ok=True)
    try:
        yield
    finally:
        lock.release()
