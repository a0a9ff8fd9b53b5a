"""What a person sees while runs are worked off: a bar per bundle in a terminal, a line per finished run elsewhere."""

import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from experiments.record.names import DOMAIN_LOSS, LABEL_LOSS, SOURCE_ACCURACY, TARGET_ACCURACY
from experiments.saying import say

_SHORT = {LABEL_LOSS: "label", DOMAIN_LOSS: "domain", SOURCE_ACCURACY: "source", TARGET_ACCURACY: "target"}


class RunProgress:
    """Progress of many runs."""

    def __init__(self, console: Console, total: int):
        self.console = console
        self.total = total
        self.finished = 0
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),  # titles have square brackets
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._all = self._bars.add_task("all runs", total=total, rate="", values="")
        self._running: dict[Hashable, _Running] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def start(self, key: Hashable, title: str, steps: int) -> None:
        """The run or runs called `key` are handed to a worker."""
        task = self._bars.add_task(title, total=steps, rate="", values="")
        self._running[key] = _Running(task, title, steps)

    def advance(self, key: Hashable, step: int, values: Mapping[str, float]) -> None:
        """`values` were logged after `step` steps."""
        run = self._running[key]
        if run.began_s is None:
            run.began_s, run.first_step = time.monotonic(), step
        run.values |= {_SHORT[name]: value for name, value in values.items() if name in _SHORT}
        passed_s = time.monotonic() - run.began_s
        rate = f"{(step - run.first_step) / passed_s:.0f}/s" if passed_s > 1 else ""
        shown = "  ".join(f"{name} {value:.3f}" for name, value in run.values.items())
        self._bars.update(run.task, completed=step, rate=rate, values=shown)

    def finish(self, title: str, outcome: str) -> None:
        """A run has ended; `outcome` is its last line."""
        self.finished += 1
        self._bars.update(self._all, completed=self.finished)
        self.say(f"[{self.finished}/{self.total}] {title}: {outcome}")

    def say(self, line: str) -> None:
        """Print a line above the bars, as it is."""
        say(self.console, line)

    def end(self, key: Hashable) -> None:
        """What began as `key`, if it did, is over."""
        if key in self._running:
            self._bars.remove_task(self._running.pop(key).task)


@dataclass
class _Running:
    task: TaskID
    title: str
    steps: int
    began_s: float | None = None
    first_step: int = 0
    values: dict[str, float] = field(default_factory=dict)
