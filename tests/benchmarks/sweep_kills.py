"""A sweep whose driver or workers are killed at random, again and again, beside one that nobody touched.

    python -m tests.benchmarks.sweep_kills --count 200

Prints how many kills there were and whether, after one finishing call, Optuna's trials and MLflow's tree are those of
the undisturbed sweep: every trial once, every run once, the same values.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.record import names
from experiments.record.store import open_client
from sweeps.study import open_study
from sweeps.sweep import Sweep
from tests.support.small_sweeps import small_sweep

TRIALS, SEEDS, WORKERS = 40, 2, 2
SCRIPT = f"""
from rich.console import Console
from experiments.work.local import Local
from sweeps.work import work_off_sweep
from tests.support.small_sweeps import small_sweep
sweep = small_sweep(trials={TRIALS}, seeds={SEEDS})
console = Console(quiet=True)
outcome = work_off_sweep(sweep, open_pool=lambda: Local({WORKERS}), console=console, ordered=True, ahead={WORKERS})
raise SystemExit(outcome.exit_code)
"""


def start(root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT], env=os.environ | {"GRL_RUNS": str(root)}, stderr=-3)


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def tree(sweep: Sweep, root: Path) -> tuple[Any, Any]:
    """Trials of the study, and what MLflow holds of it, each without what differs by nature: ids and times."""
    os.environ["GRL_RUNS"] = str(root)
    trials = [
        (trial.number, trial.state.name, trial.params, trial.value)
        for trial in open_study(sweep.study_name).get_trials(deepcopy=False)
    ]
    client = open_client()
    experiment = client.get_experiment_by_name(f"sweep_{sweep.name}")
    assert experiment is not None
    found, token = [], None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
        found += page
        if not (token := page.token):
            break
    path_of = {run.info.run_id: run.data.tags.get(names.PATH, "") for run in found}
    return trials, sorted(
        (
            run.data.tags[names.KIND],
            path_of.get(run.data.tags.get("mlflow.parentRunId", ""), ""),
            run.data.tags.get(names.HASH, path_of[run.info.run_id]),
            run.info.status,
            run.data.metrics.get(names.TARGET_ACCURACY),
        )
        for run in found
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, sweep = random.Random(options.seed), small_sweep(trials=TRIALS, seeds=SEEDS)
    with tempfile.TemporaryDirectory() as temporary:
        undisturbed = Path(temporary, "undisturbed")
        start(undisturbed).wait()
        expected = tree(sweep, undisturbed)
        kills = {"driver": 0, "worker": 0}
        equal = sweeps = 0
        while sum(kills.values()) < options.count:
            root = Path(temporary, f"killed {sweeps}")
            for _ in range(min(10, options.count - sum(kills.values()))):
                process = start(root)
                time.sleep(rng.uniform(0.0, 12.0))
                if process.poll() is not None:
                    break
                workers = children_of(process.pid)
                victim = rng.choice(["driver", "worker"]) if workers else "driver"
                os.kill(process.pid if victim == "driver" else rng.choice(workers), signal.SIGKILL)
                kills[victim] += 1
                process.wait()
            while start(root).wait():  # the finishing call; again where the last kill's workers still hold a run
                time.sleep(1.0)
            sweeps += 1
            found = tree(sweep, root)
            equal += found == expected
            for ours, theirs in zip(found, expected, strict=True):
                for line in ours:
                    if line not in theirs or ours.count(line) > theirs.count(line):
                        print("only after kills:", line)
                for line in theirs:
                    if line not in ours:
                        print("only undisturbed:", line)
            print(f"{kills['driver']} drivers and {kills['worker']} workers killed; {equal} of {sweeps} sweeps equal")


if __name__ == "__main__":
    main()
