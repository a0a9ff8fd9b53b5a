"""Kill runs at random moments, start them again, and compare how they end with runs that nobody disturbed.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.kills [--count 200] [--seed 0]        # about ten minutes

Needs no data set. Short runs of moons, every tenth one of digits with BatchNorm and Dropout; a checkpoint at each
evaluation. Each is trained by a process of its own that is killed with SIGKILL one to three times, anywhere between its
start and its end, and started again until it finishes. Every twentieth process is a fresh interpreter, so that some are
killed while they import; the others are forked from a server that has imported already. An ending is identical when
the weights' digest, every point of the curves and every metric but times are. Exit code 1 if one is not.
"""

import argparse
import collections
import dataclasses
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from datasets import load_pair
from experiments import record
from experiments.digits import syn_digits_to_syn_digits_m
from experiments.environment import describe_environment
from experiments.experiment import Experiment
from experiments.moons import moons
from experiments.recording import read_json, read_points
from experiments.running import run

TIMES = {record.TRAIN_TIME_S, record.STEPS_PER_S}
FRESH_EVERY, DIGITS_EVERY = 20, 10
KILLS = (1, 1, 1, 2, 3)  # of one run, drawn with equal chances


class Failed(RuntimeError):
    """A process that was not killed ended without finishing its run."""


def short_runs() -> tuple[list[Experiment], list[Experiment]]:
    """Runs of moons, and runs of digits."""
    recipe = dataclasses.replace(moons(), steps=300, evaluate_every=10, log_every=5)
    points = [dataclasses.replace(recipe.with_method(method), seed=1) for method in ("dann", "source_only")]
    return points, [dataclasses.replace(syn_digits_to_syn_digits_m(), steps=12, evaluate_every=4, log_every=2)]


def train(experiment: Experiment, runs: Path) -> None:
    """What a process does: one run, recorded below `runs`."""
    os.environ["GRL_RUNS"] = str(runs)
    torch.set_num_threads(1)
    run(experiment)


def start(kind: str, experiment: Experiment, runs: Path) -> Any:
    """A process of its own that trains; `kind` is "spawn" (a fresh interpreter) or "forkserver"."""
    process = multiprocessing.get_context(kind).Process(target=train, args=(experiment, runs))  # type: ignore[attr-defined]
    process.start()
    return process


def finish(kind: str, experiment: Experiment, runs: Path) -> tuple:
    """Train to the end. What the run has recorded but times: metrics, digest of the weights, points."""
    process = start(kind, experiment, runs)
    process.join()
    if process.exitcode != 0:
        raise Failed(f"{experiment.title} in {runs} ended with exit code {process.exitcode}")
    result = read_json(runs / experiment.hash / record.RESULT)
    metrics = {name: value for name, value in result["metrics"].items() if name not in TIMES}
    points = [(point["step"], point["values"]) for point in read_points(runs / experiment.hash)]
    return metrics, result["weights_sha256"], points


def look(folder: Path) -> dict[str, tuple[int, int]]:
    """Time and size of every file; empty before there is a folder."""
    files = list(folder.iterdir()) if folder.exists() else []
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def locate(folder: Path, before: dict[str, tuple[int, int]]) -> str:
    """What the process was about when it was killed; `before` is what its folder looked like when it started."""
    files = look(folder)
    touched = {name for name, stamp in files.items() if before.get(name) != stamp}
    if not touched:
        return "before it touched its folder"
    if any(name.startswith(".") for name in touched):
        return "with a file half written"
    if read_json(folder / record.STATUS)["status"] == "FINISHED":
        return "finished, about to exit"
    if record.MODEL in touched:
        return "while ending"
    return "after a checkpoint" if record.CHECKPOINT in files else "before the first checkpoint"


def disturb(kind: str, experiment: Experiment, runs: Path, duration_s: float, chance: random.Random) -> list[str]:
    """Kill the run at most a few times; where each kill landed. It may be quicker than the signal."""
    landed = []
    for _ in range(chance.choice(KILLS)):
        before = look(runs / experiment.hash)
        process = start(kind, experiment, runs)
        process.join(chance.uniform(0, duration_s))
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        by_itself = process.exitcode != -signal.SIGKILL
        landed.append("too late: it had failed" if by_itself else locate(runs / experiment.hash, before))
    return landed


def main() -> int:
    options = argparse.ArgumentParser(description="Kill runs at random and compare their endings.")
    options.add_argument("--count", type=int, default=200, help="runs that are killed at least once")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    given = options.parse_args()
    chance = random.Random(given.seed)
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["experiments.running", "torch._dynamo", "pyarrow.parquet", "sklearn.linear_model"]
    )
    small, large = short_runs()
    print(f"{describe_environment()[record.HARDWARE]}, torch {torch.__version__}, 1 thread, seed {given.seed}")

    with tempfile.TemporaryDirectory() as scratch:
        expected, durations_s = {}, {}
        finish("forkserver", small[0], Path(scratch, "first"))  # starts the server, too
        for experiment in (*small, *large):
            load_pair(experiment.pair)  # prepared here, once
            for kind in ("forkserver", "spawn"):
                began_s = time.monotonic()
                ending = finish(kind, experiment, Path(scratch, "undisturbed", kind))
                durations_s[kind, experiment] = time.monotonic() - began_s
                if expected.setdefault(experiment, ending) != ending:
                    raise Failed(f"two undisturbed runs of {experiment.title} differ")
                print(f"{experiment.title}, undisturbed, {kind}: {durations_s[kind, experiment]:.1f} s", flush=True)

        places: collections.Counter[str] = collections.Counter()
        killed = identical = left_behind = attempt = 0
        while killed < given.count:
            attempt += 1
            kind = "spawn" if attempt % FRESH_EVERY == 0 else "forkserver"
            experiment = chance.choice(large if attempt % DIGITS_EVERY == 1 else small)
            runs = Path(scratch, str(attempt))
            landed = disturb(kind, experiment, runs, durations_s[kind, experiment], chance)
            if not landed:
                continue
            try:
                same = finish("forkserver", experiment, runs) == expected[experiment]
            except Failed as failure:
                print(failure, flush=True)
                same = False
            killed += 1
            identical += same
            places.update(landed)
            left_behind += sum(name.startswith(".") for name in look(runs / experiment.hash))
            if not same:
                print(f"differs: {experiment.title}, killed {', then '.join(landed)}", flush=True)

    print(f"\n{places.total()} kills landed")
    for place, count in places.most_common():
        print(f"  {count:4d}  {place}")
    print(f"{identical} of {killed} killed runs ended bit-identical; {left_behind} half-written files were left behind")
    return 0 if identical == killed else 1


if __name__ == "__main__":
    sys.exit(main())
