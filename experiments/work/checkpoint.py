"""The file that a training goes on from after a crash. It can be loaded with `weights_only=True`."""

import io
import time
from pathlib import Path
from typing import Any

import torch

from experiments.errors import BadInput
from experiments.record.files import write_atomically
from experiments.record.names import CHECKPOINT

VERSION = 2
# At least this long between checkpoints, and so many times what the last one took.
EVERY_S, COST_SHARE = 5.0, 20


class Checkpoint:
    """The checkpoint of one run, in its folder."""

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
        if version != VERSION:
            raise BadInput(f"checkpoint {self.path} has version {version}, this program reads {VERSION}")
        if owner != self.owner:
            raise BadInput(f"checkpoint {self.path} belongs to run {owner}, not to {self.owner}")
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replace what was saved before."""
        content = io.BytesIO()
        torch.save(state | {"version": VERSION, "hash": self.owner}, content)
        write_atomically(self.path, content.getbuffer())

    def drop(self) -> None:
        """Forget it: the training has come to its end."""
        self.path.unlink(missing_ok=True)


class Clock:
    """Time since the start, and since the last checkpoint."""

    def __init__(self) -> None:
        self._started_s = self._saved_s = time.monotonic()
        self._cost_s = 0.0

    def passed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started_s

    def is_time_to_save(self) -> bool:
        """Whether the last checkpoint is old enough for another one."""
        return time.monotonic() - self._saved_s >= max(EVERY_S, COST_SHARE * self._cost_s)

    def saved(self, began_s: float) -> None:
        """A checkpoint that was begun at `began_s` (`time.monotonic()`) is written."""
        self._saved_s = time.monotonic()
        self._cost_s = self._saved_s - began_s
