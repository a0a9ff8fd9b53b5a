"""A pool of processes on this machine, one bundle at a time each."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from experiments.training.machine import AUTOMATIC, Machine
from experiments.work.bundles import Bundle
from experiments.work.driver import Ended
from experiments.work.serving import GRACE_S, prepare_worker, train_members
from experiments.work.stopping import told_to_stop

PARENT_DEATH = 1  # PR_SET_PDEATHSIG of Linux


@dataclass
class _Worker:
    process: BaseProcess
    line: Connection  # bundles go out, what became of them comes back; nobody else holds an end
    members: Bundle | None = None


class Local:
    """Worker processes, started when they are first needed; each computes with one thread.

    Args:
        workers: How many at most.
        machine: How they compute; they share the CUDA devices.
        modules: What a worker imports first, besides what the experiments themselves name.
    """

    def __init__(self, workers: int, machine: Machine = AUTOMATIC, modules: Sequence[str] = ()):
        self._most, self._machine, self._modules = workers, machine, tuple(modules)
        self._workers: list[_Worker] = []
        self._ended: list[Ended] = []

    @property
    def is_free(self) -> bool:
        return len(self._workers) < self._most or any(worker.members is None for worker in self._workers)

    @property
    def is_busy(self) -> bool:
        return bool(self._ended) or any(worker.members for worker in self._workers)

    def submit(self, members: Bundle, until: int | None = None) -> None:
        self._workers = [worker for worker in self._workers if worker.members or worker.process.is_alive()]
        idle = [worker for worker in self._workers if worker.members is None]
        worker = idle[0] if idle else self._start()
        worker.members = members
        with suppress(OSError):  # it has just died: that is found out where its end is waited for
            worker.line.send((members, until))

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        arguments = (there, os.getpid(), self._machine.for_worker(len(self._workers)), self._modules)
        process = context.Process(target=_serve, args=arguments, daemon=True)
        resource_tracker.ensure_running()  # which else unblocks Ctrl-C as it starts
        # Ctrl-C does not reach a worker: the parent alone takes it and tells them, once. The mask is inherited.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        there.close()
        self._workers.append(worker := _Worker(process, here))
        return worker

    def ended(self, wait_s: float) -> list[Ended]:
        busy = {worker.line: worker for worker in self._workers if worker.members}
        if not self._ended:
            for line in wait(list(busy), wait_s):
                self._collect(busy[line])  # type: ignore[index]
        ended, self._ended = self._ended, []
        return ended

    def _collect(self, worker: _Worker) -> None:
        members, worker.members = worker.members, None
        assert members is not None
        try:
            ended = worker.line.recv()
        except (EOFError, OSError):
            worker.process.join()
            code = worker.process.exitcode
            died = f"a worker process ended with exit code {code}; finished runs are kept, the same command goes on"
            ended = Ended(members, died=died)
        if ended.died:
            worker.process.join(GRACE_S)
            worker.process.kill()  # broken as it is, it may not end by itself
            worker.process.join()
            self._workers.remove(worker)
        self._ended.append(ended)

    def stop(self) -> None:
        with told_to_stop():  # they are already told; a second Ctrl-C would only cut short what they write
            for worker in self._workers:
                worker.process.terminate()
            limit_s = time.monotonic() + GRACE_S
            for worker in self._workers:
                worker.process.join(max(0.0, limit_s - time.monotonic()))
                worker.process.kill()  # which a run survives, too
                worker.process.join()
                if worker.members and worker.line.poll():
                    with suppress(EOFError, OSError):
                        self._ended.append(worker.line.recv())
                worker.line.close()
            self._workers.clear()


def _serve(line: Connection, parent: int, machine: Machine, modules: Sequence[str]) -> None:
    """Train bundles as they come, until the parent hangs up or asks for the end."""
    _end_with(parent)
    with told_to_stop() as must_stop, suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        prepare_worker(modules)
        while not must_stop():
            if line.poll(0.5):
                members, until = line.recv()
                ended = train_members(members, machine, must_stop=must_stop, until=until)
                line.send(ended)
                if ended.died:  # a bug can leave a process broken, as a CUDA graph does that was half recorded
                    return


def _end_with(parent: int) -> None:
    """Have this process told to stop when the parent dies, however it dies; it may be dead by now."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGTERM)

    def watch() -> None:
        while os.getppid() == parent:
            threading.Event().wait(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()
