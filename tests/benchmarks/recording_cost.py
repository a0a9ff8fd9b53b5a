"""What recording costs a run: the share of its time that goes into logging, checkpoints and progress.

    GRL_DATA=... OMP_NUM_THREADS=1 python -m tests.benchmarks.recording_cost [--seconds 300]

MNIST → MNIST-M at its catalogue settings, made as long as asked; without GRL_DATA `syn_digits_to_syn_digits_m`, which
needs no data set. The run is that of `python -m experiments run`: a worker process trains, the parent shows progress
and delivers to an MLflow store, here a file of its own. In the worker every call is timed that records, a call within
another one once; the time is wall time, so a wait for the disk or for the other process counts.
"""

import argparse
import collections
import dataclasses
import functools
import json
import multiprocessing
import os
import sys
import tempfile
import time
from inspect import isfunction
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from experiments.experiment import Experiment
from experiments.recipes import RECIPES
from experiments.record import folder, names
from experiments.work import checkpoint, run
from experiments.work.bundles import bundle
from experiments.work.driver import work_off
from experiments.work.environment import describe_environment
from experiments.work.local import Local

MEASURED = "recording_cost.json"
PILOT_STEPS = 200


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


def watch_this_process() -> None:
    """Have a worker, which imports this module first, put a clock to what it records, and note it beside the runs."""
    stopwatch, train_runs = Stopwatch(), run.train_runs
    for kind in (folder.Recording, checkpoint.Checkpoint):
        for name in [name for name, method in vars(kind).items() if isfunction(method)]:
            stopwatch.watch(kind, name, f"{kind.__name__}.{name}")
    stopwatch.watch(run, "write_atomically", "other files")

    def train_watched(*arguments: Any) -> Any:
        others_s, began_s = time.process_time() - time.thread_time(), time.perf_counter()
        in_use = train_runs(*arguments)
        noted = {
            "run_s": time.perf_counter() - began_s,
            "others_s": time.process_time() - time.thread_time() - others_s,
            "seconds": stopwatch.seconds,
            "calls": stopwatch.calls,
        }
        (names.runs_root() / MEASURED).write_text(json.dumps(noted))
        return in_use

    run.train_runs = train_watched


if multiprocessing.parent_process() is not None:
    watch_this_process()


def measure_speed(experiment: Experiment) -> float:
    """Steps a second of this experiment here, without evaluations."""
    pilot = dataclasses.replace(experiment, steps=PILOT_STEPS, evaluate_every=PILOT_STEPS, log_every=10)
    began_s = time.perf_counter()
    run.train_runs([pilot])
    return PILOT_STEPS / (time.perf_counter() - began_s)


def main() -> int:
    options = argparse.ArgumentParser(description="Measure what recording costs a run.")
    options.add_argument("--seconds", type=float, default=300, help="about how long the run trains")
    given = options.parse_args()
    torch.set_num_threads(1)
    name = "mnist_to_mnist_m" if os.environ.get("GRL_DATA") else "syn_digits_to_syn_digits_m"
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["GRL_RUNS"] = scratch
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        experiment = RECIPES[name]()
        steps = max(experiment.evaluate_every, round(given.seconds * measure_speed(experiment)))
        experiment = dataclasses.replace(experiment, steps=steps)
        parent_s = time.process_time()
        outcome = work_off(
            [experiment],
            name,
            open_pool=lambda bundles: Local(1, modules=["tests.benchmarks.recording_cost"]),
            bundle=bundle,
            console=Console(),
        )
        parent_s = time.process_time() - parent_s
        noted = json.loads(Path(scratch, MEASURED).read_text())

    run_s = noted["run_s"]
    hardware = describe_environment()[names.HARDWARE]
    print(f"{hardware}, torch {torch.__version__}, 1 thread: {experiment.title}, {steps:,} steps")
    print(f"{'':34}{'calls':>8}{'seconds':>10}{'of the run':>12}")
    for part, seconds in sorted(noted["seconds"].items(), key=lambda item: -item[1]):
        print(f"{part:34}{noted['calls'][part]:8,}{seconds:10.3f}{seconds / run_s:12.2%}")
    total_s = sum(noted["seconds"].values())
    print(f"{'together':34}{'':8}{total_s:10.3f}{total_s / run_s:12.2%}")
    print(f"{'the run':34}{'':8}{run_s:10.1f}")
    print(f"{'other threads of the worker (CPU)':34}{'':8}{noted['others_s']:10.3f}{noted['others_s'] / run_s:12.2%}")
    print(f"{'the parent (CPU)':34}{'':8}{parent_s:10.3f}{parent_s / run_s:12.2%}")
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main())
