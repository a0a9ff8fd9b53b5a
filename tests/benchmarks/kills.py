"""Kill runs at random moments, start them again, and compare how they end with runs that nobody disturbed.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.kills [--count 200] [--seed 0]        # about ten minutes

Needs no data set. Short runs of moons, one at a time and four together, and every tenth time one of digits with
BatchNorm and Dropout; a checkpoint at each evaluation. A process of its own trains, is killed with SIGKILL anywhere
between its start and its end, one to three times in all, and started again until it finishes. Every twentieth time it
is a fresh interpreter, so that some are killed while they import; the others are forked from a server that has imported
already. An ending is identical when the weights' digest, every point of the curves and every metric but times are.
Exit code 1 if one is not.
"""

import argparse
import collections
import dataclasses
import hashlib
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
from experiments.experiment import Experiment
from experiments.recipes.base import with_method
from experiments.recipes.digits import syn_digits_to_syn_digits_m
from experiments.recipes.moons import moons
from experiments.record import names
from experiments.record.files import read_json
from experiments.record.folder import read_points
from experiments.work import checkpoint
from experiments.work.bundles import bundle
from experiments.work.environment import describe_environment
from experiments.work.run import train_runs

TIMES = {names.TRAIN_TIME_S, names.STEPS_PER_S}
FRESH_EVERY, DIGITS_EVERY = 20, 10
KILLS = (1, 1, 1, 2, 3)  # of one run, drawn with equal chances


Command = tuple[Experiment, ...]


class Failed(RuntimeError):
    """A process that was not killed ended without finishing its run."""


def short_commands() -> tuple[list[Command], list[Command]]:
    """Commands that train moons, and commands that train digits."""
    recipe = dataclasses.replace(moons(), steps=150, evaluate_every=10, log_every=5)
    together = tuple(dataclasses.replace(recipe, seed=seed) for seed in range(4))
    digits = dataclasses.replace(syn_digits_to_syn_digits_m(), steps=12, evaluate_every=4, log_every=2)
    return [together[:1], (with_method(recipe, "source_only"),), together], [(digits,)]


def name_of(command: Command) -> str:
    return command[0].title if len(command) == 1 else f"{command[0].title} and {len(command) - 1} more, together"


def train(command: Command, runs: Path) -> None:
    """What a process does: train what is not done yet, recorded below `runs`."""
    os.environ["GRL_RUNS"] = str(runs)
    torch.set_num_threads(1)
    checkpoint.EVERY_S = checkpoint.COST_SHARE = 0.0
    for members in bundle(command):
        train_runs(members)


def start(kind: str, command: Command, runs: Path) -> Any:
    """A process of its own that trains; `kind` is "spawn" (a fresh interpreter) or "forkserver"."""
    process = multiprocessing.get_context(kind).Process(target=train, args=(command, runs))  # type: ignore[attr-defined]
    process.start()
    return process


def finish(kind: str, command: Command, runs: Path) -> list[tuple]:
    """Train to the end. What the runs have recorded but times: numbers, digest of the weights, points, evaluations."""
    process = start(kind, command, runs)
    process.join()
    if process.exitcode != 0:
        raise Failed(f"{name_of(command)} in {runs} ended with exit code {process.exitcode}")
    endings = []
    for folder in (runs / experiment.hash for experiment in command):
        result = read_json(folder / names.RESULT)
        metrics = {name: value for name, value in result["metrics"].items() if name not in TIMES}
        points = [(point["step"], point["values"]) for point in read_points(folder)]
        seen = hashlib.sha256((folder / names.EVALUATIONS).read_bytes()).hexdigest()
        endings.append((metrics, result["last"], result["weights_sha256"], points, seen))
    return endings


def look(runs: Path) -> dict[Path, tuple[int, int]]:
    """Time and size of every file."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in runs.rglob("*") if path.is_file()}


def locate(runs: Path, before: dict[Path, tuple[int, int]]) -> str:
    """What the process was about when it was killed; `before` is what it had found when it started."""
    files = look(runs)
    touched = {path.name for path, stamp in files.items() if before.get(path) != stamp}
    if not touched:
        return "before it touched its folder"
    if any(name.startswith(".") for name in touched):
        return "with a file half written"
    statuses = {read_json(path)["status"] for path in files if path.name == names.STATUS}
    if statuses == {"FINISHED"}:
        return "finished, about to exit"
    if names.MODEL in touched:
        return "while ending"
    has_checkpoint = any(path.name == names.CHECKPOINT for path in files)
    return "after a checkpoint" if has_checkpoint else "before the first checkpoint"


def disturb(kind: str, command: Command, runs: Path, duration_s: float, chance: random.Random) -> list[str]:
    """Kill the command at most a few times; where each kill landed. It may be quicker than the signal."""
    landed = []
    for _ in range(chance.choice(KILLS)):
        before = look(runs)
        process = start(kind, command, runs)
        process.join(chance.uniform(0, duration_s))
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        by_itself = process.exitcode != -signal.SIGKILL
        landed.append("too late: it had failed" if by_itself else locate(runs, before))
    return landed


def main() -> int:
    options = argparse.ArgumentParser(description="Kill runs at random and compare their endings.")
    options.add_argument("--count", type=int, default=200, help="commands that are killed at least once")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    given = options.parse_args()
    chance = random.Random(given.seed)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the CPU gives the same bits every time
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["experiments.work.run", "torch._dynamo", "pyarrow.parquet", "sklearn.linear_model"]
    )
    small, large = short_commands()
    print(f"{describe_environment()[names.HARDWARE]}, torch {torch.__version__}, 1 thread, seed {given.seed}")

    with tempfile.TemporaryDirectory() as scratch:
        expected, durations_s = {}, {}
        finish("forkserver", small[0], Path(scratch, "first"))  # starts the server, too
        for index, command in enumerate((*small, *large)):
            load_pair(command[0].pair)  # prepared here, once
            for kind in ("forkserver", "spawn"):
                began_s = time.monotonic()
                ending = finish(kind, command, Path(scratch, f"undisturbed {index} {kind}"))
                durations_s[kind, command] = time.monotonic() - began_s
                if expected.setdefault(command, ending) != ending:
                    raise Failed(f"two undisturbed runs of {name_of(command)} differ")
                print(f"{name_of(command)}, undisturbed, {kind}: {durations_s[kind, command]:.1f} s", flush=True)

        places: collections.Counter[str] = collections.Counter()
        killed = identical = left_behind = attempt = 0
        while killed < given.count:
            attempt += 1
            kind = "spawn" if attempt % FRESH_EVERY == 0 else "forkserver"
            command = chance.choice(large if attempt % DIGITS_EVERY == 1 else small)
            runs = Path(scratch, str(attempt))
            began_s = time.monotonic()
            landed = disturb(kind, command, runs, durations_s[kind, command], chance)
            if not landed:  # it was quicker than the signal: so little time it takes now
                durations_s[kind, command] = time.monotonic() - began_s
                continue
            began_s = time.monotonic()
            try:
                same = finish("forkserver", command, runs) == expected[command]
            except Failed as failure:
                print(failure, flush=True)
                same = False
            durations_s["forkserver", command] = max(durations_s["forkserver", command], time.monotonic() - began_s)
            killed += 1
            identical += same
            if killed % 20 == 0:
                print(f"{killed} killed, {identical} of them ended bit-identical", flush=True)
            places.update(landed)
            left_behind += sum(path.name.startswith(".") or path.name == names.CHECKPOINT for path in look(runs))
            if not same:
                print(f"differs: {name_of(command)}, killed {', then '.join(landed)}", flush=True)

    print(f"\n{places.total()} kills landed")
    for place, count in places.most_common():
        print(f"  {count:4d}  {place}")
    print(f"{identical} of {killed} killed commands ended bit-identical")
    print(f"{left_behind} half-written files or checkpoints were left behind")
    return 0 if identical == killed else 1


if __name__ == "__main__":
    sys.exit(main())
