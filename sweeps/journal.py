"""A study's file: a line for every change, in Optuna's form, and what belongs together is there whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from experiments.errors import BadInput
from experiments.record.files import writing_to

MORE_FOLLOWS = (
    b" \n"  # ends every line of a block but the last; JSON, and so Optuna's own reader, has no use for spaces
)


class Journal(BaseJournalBackend):
    """Optuna's journal with one writer: read once, forced to disk once a block, and not locked for every line.

    Args:
        path: Of the file; it is made when the first line is written.

    Raises:
        BadInput: a line is damaged.
    """

    def __init__(self, path: Path):
        self._path = path
        content = path.read_bytes() if path.exists() else b""
        self._logs = [_parse(line, number, path) for number, line in enumerate(_cut(content).splitlines(), 1)]
        self._block: list[dict[str, Any]] | None = None

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return iter(self._logs[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._logs += logs
        if self._block is None:
            self._write(logs)
        else:
            self._block += logs

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what happens in this block at its end, as one; what breaks off in its midst has not happened."""
        self._block = []
        try:
            yield
            self._write(self._block)
        finally:
            self._block = None

    def _write(self, logs: list[dict[str, Any]]) -> None:
        lines = MORE_FOLLOWS.join(json.dumps(log, separators=(",", ":")).encode() for log in logs)
        with writing_to(self._path.parent), self._path.open("ab") as file:
            file.write(lines + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _cut(content: bytes) -> bytes:
    # Without a last line that is not whole, and without a block of which the end is missing.
    content = content[: content.rfind(b"\n") + 1]
    while content.endswith(MORE_FOLLOWS):
        content = content[: content.rfind(b"\n", 0, -1) + 1]
    return content


def _parse(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError:
        raise BadInput(
            f"line {number} of {path} is damaged; move {path.parent} away to begin this study anew"
        ) from None


def mend(path: Path) -> None:
    """Cut what a full disk or a kill has torn off the end, for whoever alone writes it."""
    if path.exists():
        content = path.read_bytes()
        whole = _cut(content)
        if whole != content:
            with writing_to(path.parent), path.open("r+b") as file:
                file.truncate(len(whole))
