"""A pool on a Ray cluster: Ray places each bundle on a node, and runs it again elsewhere when the node is lost.

The run folders lie on storage that all nodes share: a bundle that is run again goes on from its runs' checkpoints.
"""

import functools
import importlib
import os
import queue
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from experiments.errors import BadInput
from experiments.record.names import ROOT
from experiments.training.machine import AUTOMATIC, Machine
from experiments.work.bundles import Bundle
from experiments.work.driver import Ended
from experiments.work.serving import GRACE_S, train_members

ANSWER_S = 60.0  # of a cluster, before it is given up
RETRIES = 20  # of a bundle whose worker or node died
PASSED_ON = ("GRL_RUNS", "GRL_DATA", "GRL_PREPARED")


class Ray:
    """A Ray cluster, joined for as long as the pool lives.

    Args:
        address: `local` starts one on this machine; `auto` joins the one that runs here, `ray://host:port` another.
        machine: How each run computes.
        modules: What a worker imports first.
        gpus: How many GPUs, or what share of one, a bundle takes.

    Raises:
        BadInput: Ray is not installed, or nothing answers at the address.
    """

    def __init__(
        self, address: str, machine: Machine = AUTOMATIC, modules: Sequence[str] = (), *, gpus: float = 0.0
    ) -> None:
        try:
            ray = importlib.import_module("ray")  # an optional group of its own
        except ImportError:
            raise BadInput("cluster needs Ray, which is not installed: pip install 'ray[client]'") from None
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        variables |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([os.getcwd(), str(ROOT)])}
        join = functools.partial(
            ray.init,
            address=None if address == "local" else address,
            runtime_env={"env_vars": variables},
            log_to_driver=False,
            logging_level="ERROR",
            **({"_node_ip_address": "127.0.0.1", "include_dashboard": False} if address == "local" else {}),
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is wrong is said below
                join() if address == "local" else _answer(join)
        except Exception as error:  # of many kinds, by the way it fails
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise BadInput(f"no Ray cluster answers at cluster {address!r}: {reason}") from None
        self._ray, self._machine, self._modules = ray, machine, tuple(modules)
        self._train = ray.remote(train_members).options(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)
        self._gpus = gpus
        self._running: dict[Any, Bundle] = {}

    @property
    def is_free(self) -> bool:
        resources = self._ray.cluster_resources()
        places = int(resources.get("CPU", 1))
        if self._gpus:
            places = min(places, int(resources.get("GPU", 0) / self._gpus))
        return len(self._running) < max(1, places)

    @property
    def is_busy(self) -> bool:
        return bool(self._running)

    def submit(self, members: Bundle, until: int | None = None) -> None:
        self._running[self._train.remote(members, self._machine, self._modules, until=until)] = members

    def ended(self, wait_s: float) -> list[Ended]:
        if not self._running:
            time.sleep(wait_s)
            return []
        done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=wait_s)
        return [self._collect(reference) for reference in done]

    def _collect(self, reference: Any) -> Ended:
        members = self._running.pop(reference)
        try:
            return self._ray.get(reference)
        except (self._ray.exceptions.TaskCancelledError, KeyboardInterrupt):
            return Ended(members)
        except self._ray.exceptions.RayError as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return Ended(members, died=f"a bundle was lost {RETRIES} times: {reason}; the same command goes on")

    def stop(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference)  # KeyboardInterrupt there, which a run survives
        if self._running:
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=GRACE_S)
        self._ray.shutdown()
        self._running.clear()


def _answer(join: Callable[[], object]) -> None:
    """Join a cluster, or raise what went wrong; where a silent address would hold Ray up for minutes, after one."""
    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def call() -> None:
        try:
            join()
            ended.put(None)
        except Exception as error:
            ended.put(error)

    threading.Thread(target=call, daemon=True).start()
    try:
        error = ended.get(timeout=ANSWER_S)
    except queue.Empty:
        raise TimeoutError(f"no answer for {ANSWER_S:.0f} s") from None
    if error:
        raise error
