"""What it costs to deliver finished runs to MLflow, where many end in bulk: CPU and files a run, and asking again.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.delivery_cost [--runs 160] [--copies 0]

Trains moons runs of 1,000 steps (110 points of the curves each) and delivers them to a store of its own. With --copies,
each run's folder is copied so many times under other names first, which costs no training: 160 runs with 5 copies are
960 deliveries.
"""

import argparse
import dataclasses
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch

from experiments.recipes.moons import moons
from experiments.record import names
from experiments.record.delivery import Destination, address, deliver, undelivered
from experiments.record.folder import folder_of, list_runs
from experiments.record.store import open_client
from experiments.work.bundles import bundle
from experiments.work.environment import describe_environment
from experiments.work.run import train_runs


def copy_run(folder: Path, number: int) -> Path:
    """The same run under another name."""
    copy = folder.with_name(f"{folder.name[:-4]}{number:04x}")
    shutil.copytree(folder, copy)
    description = json.loads((copy / names.RUN).read_bytes())
    description |= {"hash": copy.name, "tags": description["tags"] | {names.HASH: copy.name}}
    (copy / names.RUN).write_text(json.dumps(description))
    return copy


def main() -> int:
    options = argparse.ArgumentParser(description="Measure what delivery costs.")
    options.add_argument("--runs", type=int, default=160)
    options.add_argument("--copies", type=int, default=0, help="of each run's folder")
    given = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["GRL_RUNS"] = scratch
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        experiments = [dataclasses.replace(moons(), seed=seed) for seed in range(given.runs)]
        for members in bundle(experiments):
            train_runs(members)
        folders = [folder_of(experiment.hash) for experiment in experiments]
        folders += [copy_run(folder, number) for folder in list(folders) for number in range(given.copies)]
        client = open_client()
        client.search_experiments()
        for folder in folders:
            address(folder, Destination("cost"))
        files = sum(1 for path in Path(scratch).rglob("*") if path.is_file())
        began_s, cpu_s = time.perf_counter(), time.process_time()
        for folder in undelivered():
            deliver(client, folder)
        cpu_s, took_s = time.process_time() - cpu_s, time.perf_counter() - began_s
        more = sum(1 for path in Path(scratch).rglob("*") if path.is_file()) - files
        asked_s = time.process_time()
        left = len(undelivered())
        asked_s = time.process_time() - asked_s
        print(f"{describe_environment()[names.HARDWARE]}, 1 thread, {len(list_runs())} runs")
        print(f"delivered: {1000 * cpu_s / len(folders):.1f} ms of CPU and {1000 * took_s / len(folders):.1f} ms a run")
        print(f"files: {files / len(folders):.1f} a run before, {more / len(folders):.1f} more by the delivery")
        print(f"asked again what is left ({left}): {1000 * asked_s / len(folders):.2f} ms of CPU a run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
