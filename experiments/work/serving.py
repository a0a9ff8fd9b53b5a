"""What a worker does, whoever started it: train one bundle and say what became of it."""

import importlib
import os
import traceback
from collections.abc import Callable, Sequence

from experiments.errors import is_ours
from experiments.training.machine import AUTOMATIC, Machine
from experiments.work.bundles import Bundle
from experiments.work.driver import Ended

GRACE_S = 25.0  # for the step in work and its checkpoint, when asked to end; a cluster gives 30 s


def prepare_worker(modules: Sequence[str]) -> None:
    """Compute with one thread, and know what a user's own modules make known."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    for module in modules:
        importlib.import_module(module)


def train_members(
    members: Bundle,
    machine: Machine = AUTOMATIC,
    modules: Sequence[str] = (),
    must_stop: Callable[[], bool] = lambda: False,
    until: int | None = None,
) -> Ended:
    """Train a bundle in this process, up to a step or to its end."""
    from experiments.work.run import train_runs

    try:
        prepare_worker(modules)
        return Ended(members, in_use=tuple(train_runs(members, machine, must_stop, until)))
    except KeyboardInterrupt:
        return Ended(members)
    except Exception as error:
        if is_ours(error):
            return Ended(members, error=str(error))
        traceback.print_exc()  # a bug: its own words, once
        return Ended(members, died=f"a worker met {type(error).__name__}: {error}; its traceback is above")
