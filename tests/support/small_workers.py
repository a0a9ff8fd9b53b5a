"""Networks that misbehave in worker processes, and a pool without any; importable by workers."""

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from experiments.errors import is_ours
from experiments.networks.moons import Moons
from experiments.work.bundles import Bundle
from experiments.work.driver import Ended
from experiments.work.run import train_runs


@dataclass(frozen=True, kw_only=True)
class Dying(Moons):
    """Ends the worker that builds it."""

    name = "dying"

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if multiprocessing.parent_process():
            os._exit(3)
        return super().feature_extractor(shape)


@dataclass(frozen=True, kw_only=True)
class Faulty(Moons):
    """Has a bug that shows where it is built."""

    name = "faulty"

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        raise ZeroDivisionError("by zero")


class Inline:
    """A pool that trains in this process, when it is asked what has ended.

    Args:
        interfere: Called before each bundle is trained.
    """

    def __init__(self, interfere: Callable[[], None] = lambda: None):
        self.interfere = interfere
        self.waiting: list[Bundle] = []
        self.stopped = False

    @property
    def is_free(self) -> bool:
        return not self.waiting

    @property
    def is_busy(self) -> bool:
        return bool(self.waiting)

    def submit(self, members: Bundle, until: int | None = None) -> None:
        self.waiting.append(members)

    def ended(self, wait_s: float) -> list[Ended]:
        if not self.waiting or self.stopped:
            return []
        self.interfere()
        members = self.waiting.pop()
        try:
            return [Ended(members, in_use=tuple(train_runs(members)))]
        except Exception as error:
            if not is_ours(error):
                raise
            return [Ended(members, error=str(error))]

    def stop(self) -> None:
        self.stopped = True
