"""The parent's line to MLflow: a thread, so that no store, however slow, holds up a training."""

import queue
import threading
from collections.abc import Callable
from typing import Any

from experiments.tracking import Unreachable, open_client


class Delivery:
    """A thread that talks to MLflow while the workers train; trouble stops the sending, never the training."""

    def __init__(self) -> None:
        self._troubles: dict[object, str] = {}  # of jobs whose last attempt failed
        self._jobs: queue.Queue[tuple[Any, ...] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Delivery":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._jobs.put(None)
        self._thread.join()

    @property
    def trouble(self) -> str:
        """What has not arrived, and why; empty when all has."""
        return next(iter(self._troubles.values()), "")

    def send(self, job: Callable[..., None], *arguments: Any) -> None:
        """Have `job(client, *arguments)` called soon, after those sent before."""
        self._jobs.put((job, *arguments))

    def _work(self) -> None:
        try:
            client = open_client()
        except Unreachable as error:
            self._troubles[None] = str(error)
            return
        while (todo := self._jobs.get()) is not None:
            job, *arguments = todo
            try:
                job(client, *arguments)
            except Exception as error:  # a thread has nobody to raise to
                self._troubles[todo] = str(error)
            else:
                self._troubles.pop(todo, None)
