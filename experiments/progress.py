"""What a person sees while runs are worked off: a bar per run in a terminal, a line per finished run elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from experiments.record import DOMAIN_LOSS, LABEL_LOSS, SOURCE_ACCURACY, TARGET_ACCURACY

_SHORT = {LABEL_LOSS: "label", DOMAIN_LOSS: "domain", SOURCE_ACCURACY: "source", TARGET_ACCURACY: "target"}


class RunProgress:
    """Progress of many runs."""

    def __init__(self, console: Console, total: int):
        self.console = console
        self.total = total
        self.finished = 0
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._all = self._bars.add_task("all runs", total=total, rate="", values="")
        self._tasks: dict[str, TaskID] = {}
        self._values: dict[str, dict[str, float]] = {}
        self._starts: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def start(self, title: str, steps: int, step: int) -> None:
        """A run begins, or goes on, at `step` of `steps`."""
        self._tasks[title] = self._bars.add_task(title, total=steps, completed=step, rate="", values="")
        self._values[title] = {}
        self._starts[title] = (time.monotonic(), step)
        if step:
            self.console.print(f"{title}: going on from its checkpoint at step {step} of {steps}")

    def advance(self, title: str, step: int, values: dict[str, float]) -> None:
        """A run has logged `values` after `step` steps."""
        self._values[title] |= {_SHORT[name]: value for name, value in values.items() if name in _SHORT}
        began, first = self._starts[title]
        rate = (step - first) / max(time.monotonic() - began, 1e-9)
        shown = "  ".join(f"{name} {value:.3f}" for name, value in self._values[title].items())
        self._bars.update(self._tasks[title], completed=step, rate=f"{rate:.0f} steps/s", values=shown)

    def finish(self, title: str, outcome: str) -> None:
        """A run has ended; `outcome` is its last line."""
        self.finished += 1
        if title in self._tasks:
            self._bars.remove_task(self._tasks.pop(title))
        self._bars.update(self._all, completed=self.finished)
        self.console.print(f"[{self.finished}/{self.total}] {title}: {outcome}", markup=False, highlight=False)
