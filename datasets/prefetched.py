"""Batches made ahead of time by a worker thread, for sets that are read from disk while a network trains."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic

from datasets.batches import B, Batches
from datasets.errors import DatasetError


class Prefetched(Generic[B]):
    """The same batches in the same order as the iterator inside, each ready before it is asked for.

    `state_dict` speaks of the last batch that was handed out, not of those that lie ready.
    """

    def __init__(self, batches: Batches[B], depth: int = 2) -> None:
        """Start the worker.

        Args:
            batches: what to run ahead of. Nobody else may draw from it.
            depth: batches to hold ready, at least 1.
        """
        if depth < 1:
            raise DatasetError(f"depth must be at least 1, got {depth}")
        self._batches, self._depth = batches, depth
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
        self._ready: deque[Future[tuple[B, dict[str, Any]]]] = deque()
        self._state = batches.state_dict()

    def _make(self) -> tuple[B, dict[str, Any]]:
        return next(self._batches), self._batches.state_dict()

    def __iter__(self) -> Iterator[B]:
        return self

    def __next__(self) -> B:
        while len(self._ready) <= self._depth:
            self._ready.append(self._worker.submit(self._make))
        batch, self._state = self._ready.popleft().result()
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the position after the last batch that was handed out."""
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Forget what lies ready and go to a position that `state_dict` returned."""
        while self._ready:
            self._ready.popleft().result()
        self._batches.load_state_dict(state)
        self._state = self._batches.state_dict()

    def close(self) -> None:
        """Stop the worker."""
        self._worker.shutdown(cancel_futures=True)
