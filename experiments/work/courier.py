"""The parent's line to MLflow: a thread, so that no store, however slow, holds up a training."""

import math
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from experiments.record.delivery import deliver, undelivered
from experiments.record.names import shown_uri, tracking_uri
from experiments.record.store import REQUEST_TIMEOUT_S, check_tracking_uri, first_line, import_mlflow, open_client

# After a failed attempt; doubled while one attempt after the other fails.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 4.0

Job = tuple[Any, ...]  # a function and what follows the client in its call


class Courier:
    """A thread that talks to MLflow while the workers train; trouble stops the sending, never the training.

    A job that fails is tried again after the newer ones, and once more at the end. So is what earlier commands could
    not deliver to this store. The end takes as long as the store goes on answering.

    Raises:
        BadInput: no store can have this tracking URI.
    """

    def __init__(self) -> None:
        check_tracking_uri()
        self._fresh: dict[Job, None] = {}  # dicts keep the order, and each job once
        self._later: dict[Job, None] = {}  # failed before, or left by earlier commands
        self._unsent: dict[Job, str] = {}  # what was sent here and has not arrived, with the last reason
        self._closing = False
        self._answered_s = math.inf  # until MLflow is imported, which takes seconds, nobody is asked
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        closed_s = time.monotonic()
        # A local file does not fall silent; creating its tables may take longer than a server's answer.
        patience_s = math.inf if tracking_uri().startswith("sqlite") else REQUEST_TIMEOUT_S
        while self._thread.is_alive() and time.monotonic() < max(closed_s, self._answered_s) + patience_s:
            self._thread.join(0.1)

    @property
    def trouble(self) -> str:
        """After the end: why something that was sent here has not arrived; empty when all has."""
        with self._changed:
            reasons = list(self._unsent.values())
        if not reasons:
            return ""
        silence = f"MLflow store {shown_uri()} has not answered for {REQUEST_TIMEOUT_S} s"
        return next(filter(None, reasons), silence) + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else "")

    def send(self, job: Callable[..., None], *arguments: Any) -> None:
        """Have `job(client, *arguments)` called soon; a job that still waits is not queued twice."""
        with self._changed:
            todo = (job, *arguments)
            self._later.pop(todo, None)
            self._fresh[todo] = None
            self._unsent.setdefault(todo, "")
            self._changed.notify()

    def _work(self) -> None:
        left = [(deliver, folder) for folder in undelivered()]
        with self._changed:
            self._later.update((todo, None) for todo in left if todo not in self._fresh)
        import_mlflow()
        self._note_answer()
        client, pause_s = None, 0.0
        while (taken := self._take(pause_s)) is not None:
            todo, is_last_attempt = taken
            job, *arguments = todo
            try:
                client = client or _Heard(open_client(), self._note_answer)
                job(client, *arguments)
            except Exception as error:  # a thread has nobody to raise to
                pause_s = min(2 * pause_s or FIRST_PAUSE_S, LONGEST_PAUSE_S)
                self._keep(todo, first_line(error), is_last_attempt)
            else:
                pause_s = 0.0
                self._strike_off(todo)

    def _take(self, pause_s: float) -> tuple[Job, bool] | None:
        """Wait for a job, the newer ones first, and say whether this is its last attempt; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing, pause_s)
            self._changed.wait_for(lambda: self._closing or self._fresh or self._later)
            waiting = self._fresh or self._later
            if not waiting:
                return None
            todo = next(iter(waiting))
            del waiting[todo]
            return todo, self._closing

    def _keep(self, todo: Job, reason: str, is_last_attempt: bool) -> None:
        with self._changed:
            if todo in self._unsent:
                self._unsent[todo] = reason
            if todo not in self._fresh and not is_last_attempt:
                self._later[todo] = None

    def _strike_off(self, todo: Job) -> None:
        with self._changed:
            if todo not in self._fresh:  # else there is news since
                self._unsent.pop(todo, None)

    def _note_answer(self) -> None:
        self._answered_s = time.monotonic()


class _Heard:
    """A client that notes each answer of the store: a long delivery is not a store that hangs."""

    def __init__(self, client: Any, note: Callable[[], None]):
        self._client, self._note = client, note

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*arguments: Any, **named: Any) -> Any:
            answer = method(*arguments, **named)
            self._note()
            return answer

        return call
