"""What recording costs a run: the share of its time that goes into logging, checkpoints and reports.

    GRL_DATA=... OMP_NUM_THREADS=1 python -m tests.benchmarks.recording_cost [--seconds 300]

MNIST → MNIST-M at its catalogue settings, made as long as asked; without GRL_DATA `syn_digits_to_syn_digits_m`, which
needs no data set. The run is that of `python -m experiments run`: a worker process trains, the parent shows progress
and delivers to an MLflow store, here a file of its own. In the worker every call is timed that records or reports,
a call within another one once; the time is wall time, so a wait for the disk or for the other processes counts.
"""

import argparse
import collections
import dataclasses
import functools
import json
import multiprocessing.queues
import os
import sys
import tempfile
import time
from inspect import isfunction
from pathlib import Path
from typing import Any

import torch

from datasets import load_pair
from experiments import recording, running, worker
from experiments.__main__ import main as run_command_line
from experiments.catalogue import EXPERIMENTS
from experiments.environment import describe_environment
from experiments.record import HARDWARE, runs_root
from tests.benchmarks.training_speed import time_training_step

MEASURED = "recording_cost.json"
train_listed = worker._train_listed


class Stopwatch:
    """Seconds and calls by name; of calls within each other the outermost."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = collections.defaultdict(float)
        self.calls: collections.Counter[str] = collections.Counter()
        self._running = False

    def watch(self, owner: Any, attribute: str, name: str) -> None:
        """Time every call of a method or of a function of a module."""
        function = getattr(owner, attribute)

        @functools.wraps(function)
        def timed(*arguments: Any, **keywords: Any) -> Any:
            if self._running:
                return function(*arguments, **keywords)
            self._running = True
            began_s = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                self.seconds[name] += time.perf_counter() - began_s
                self.calls[name] += 1
                self._running = False

        setattr(owner, attribute, timed)


def train_watched(*arguments: Any) -> None:
    """What the worker process does here: the same as ever, by the clock, and a note of it beside the runs."""
    stopwatch, whole = Stopwatch(), Stopwatch()
    for kind in vars(recording).values():
        if isinstance(kind, type) and kind.__module__ == recording.__name__:
            for name in [name for name, method in vars(kind).items() if isfunction(method)]:
                stopwatch.watch(kind, name, f"{kind.__name__}.{name}")
    for module in (recording, running):
        stopwatch.watch(module, "write_atomically", "other files")
    queue = next(value for value in arguments if isinstance(value, multiprocessing.queues.Queue))
    stopwatch.watch(queue, "put", "report to the parent")
    whole.watch(running, "run", "run")
    others_s = time.process_time() - time.thread_time()
    train_listed(*arguments)
    others_s = time.process_time() - time.thread_time() - others_s
    noted = {
        "run_s": whole.seconds["run"],
        "others_s": others_s,
        "seconds": stopwatch.seconds,
        "calls": stopwatch.calls,
    }
    (runs_root() / MEASURED).write_text(json.dumps(noted))


def main() -> int:
    options = argparse.ArgumentParser(description="Measure what recording costs a run.")
    options.add_argument("--seconds", type=float, default=300, help="about how long the run trains")
    given = options.parse_args()
    torch.set_num_threads(1)
    name = "mnist_to_mnist_m" if os.environ.get("GRL_DATA") else "syn_digits_to_syn_digits_m"
    experiment = EXPERIMENTS[name]()
    short = dataclasses.replace(experiment, log_every=10, evaluate_every=1000)
    steps = round(given.seconds * 1000 / time_training_step(short, load_pair(experiment.pair)))  # evaluations apart
    worker._train_listed = train_watched
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["GRL_RUNS"] = scratch
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        parent_s = time.process_time()
        code = run_command_line(["run", name, "--steps", str(steps), "--workers", "1"])
        parent_s = time.process_time() - parent_s
        noted = json.loads(Path(scratch, MEASURED).read_text())

    run_s = noted["run_s"]
    print(
        f"{describe_environment()[HARDWARE]}, torch {torch.__version__}, 1 thread: {experiment.title}, {steps:,} steps"
    )
    print(f"{'':34}{'calls':>8}{'seconds':>10}{'of the run':>12}")
    for part, seconds in sorted(noted["seconds"].items(), key=lambda item: -item[1]):
        print(f"{part:34}{noted['calls'][part]:8,}{seconds:10.3f}{seconds / run_s:12.2%}")
    total_s = sum(noted["seconds"].values())
    print(f"{'together':34}{'':8}{total_s:10.3f}{total_s / run_s:12.2%}")
    print(f"{'the run':34}{'':8}{run_s:10.1f}")
    print(f"{'other threads of the worker (CPU)':34}{'':8}{noted['others_s']:10.3f}{noted['others_s'] / run_s:12.2%}")
    print(f"{'the parent (CPU)':34}{'':8}{parent_s:10.3f}{parent_s / run_s:12.2%}")
    return code


if __name__ == "__main__":
    sys.exit(main())
