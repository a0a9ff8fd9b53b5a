"""A sweep whose driver or workers are killed at random, again and again, beside one that nobody touched.

    python -m tests.benchmarks.sweep_kills --count 50
    python -m tests.benchmarks.sweep_kills --count 200 --pretend

Prints how many kills there were and whether, after one finishing call, Optuna's trials and MLflow's tree are those of
the undisturbed sweep: every trial once, every run once, the same values and states. With --pretend nothing is trained:
forked drivers, killed alone, write what a training would have left; all else, MLflow too, is the real thing.
"""

import argparse
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.record import names
from experiments.record.store import import_mlflow, open_client
from sweeps.study import open_study
from sweeps.sweep import Sweep
from sweeps.work import work_off_sweep
from tests.support.small_sweeps import LastFirst, small_sweep

TRIALS, SEEDS, WORKERS = 20, 2, 2
FINISHING_CALLS = 3  # one should do; a machine at its limits may fail one
SCRIPT = f"""
from rich.console import Console
from experiments.work.local import Local
from sweeps.work import work_off_sweep
from tests.benchmarks.sweep_kills import build_sweep
console = Console(quiet=True)
outcome = work_off_sweep(
    build_sweep(), open_pool=lambda: Local({WORKERS}), console=console, ordered=True, ahead={WORKERS}
)
raise SystemExit(outcome.exit_code)
"""


def build_sweep() -> Sweep:
    return small_sweep(trials=TRIALS, seeds=SEEDS, pruner="median")


class Started:
    """A driver: a process of its own, or a fork that pretends to train."""

    def __init__(self, root: Path, pretend: bool):
        self._process = None
        if not pretend:
            environment = os.environ | {"GRL_RUNS": str(root)}
            self._process = subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment, stderr=-3)
            self.pid = self._process.pid
            return
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            os.environ["GRL_RUNS"] = str(root)
            code = 1
            try:
                pool = LastFirst(WORKERS)
                code = work_off_sweep(
                    build_sweep(), open_pool=lambda: pool, console=Console(quiet=True), ordered=True, ahead=WORKERS
                ).exit_code
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(code)

    def has_ended(self) -> bool:
        if self._process:
            return self._process.poll() is not None
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait(self) -> int:
        return self._process.wait() if self._process else os.waitpid(self.pid, 0)[1]


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
            run.data.tags.get("state"),
            run.data.metrics.get(names.TARGET_ACCURACY),
        )
        for run in found
    )


def make_root(temporary: str, name: str) -> Path:
    root = Path(temporary, name)
    root.mkdir()
    shutil.copy(Path(temporary, "mlflow.db"), root)
    return root


def read_tree(sweep: Sweep, root: Path, pretend: bool) -> Any:
    """`tree`; by a process of its own where this one must stay free of open stores, for the next fork."""
    if not pretend:
        return tree(sweep, root)
    reader, writer = os.pipe()
    if not os.fork():
        with os.fdopen(writer, "wb") as file:
            pickle.dump(tree(sweep, root), file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        found = pickle.load(file)
    os.wait()
    return found


def print_differences(found: Any, expected: Any) -> None:
    """Print which lines of two trees are in one alone."""
    for ours, theirs in zip(found, expected, strict=True):
        for line in ours:
            if line not in theirs or ours.count(line) > theirs.count(line):
                print("only disturbed:", line)
        for line in theirs:
            if line not in ours:
                print("only undisturbed:", line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pretend", action="store_true", help="train nothing")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    rng, sweep = random.Random(options.seed), build_sweep()
    if options.pretend:
        import_mlflow()  # once, before the forks
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["GRL_RUNS"] = temporary
        if not os.fork():  # nor does every fork make MLflow's tables
            open_client()
            os._exit(0)
        os.wait()
        undisturbed = make_root(temporary, "undisturbed")
        began_s = time.monotonic()
        Started(undisturbed, options.pretend).wait()
        whole_s = time.monotonic() - began_s
        expected = read_tree(sweep, undisturbed, options.pretend)
        states = [trial[1] for trial in expected[0]]
        print(
            f"undisturbed: {whole_s:.1f} s, {len(expected[1])} runs, {states.count('PRUNED')} trials pruned", flush=True
        )
        kills = {"driver": 0, "worker": 0}
        equal = sweeps = 0
        while sum(kills.values()) < options.count:
            root = make_root(temporary, f"killed {sweeps}")
            for _ in range(min(10, options.count - sum(kills.values()))):
                process = Started(root, options.pretend)
                time.sleep(rng.uniform(0.0, whole_s / 3))
                if process.has_ended():
                    process.wait()
                    break
                workers = children_of(process.pid)
                victim = rng.choice(["driver", "worker"]) if workers else "driver"
                os.kill(process.pid if victim == "driver" else rng.choice(workers), signal.SIGKILL)
                kills[victim] += 1
                process.wait()
            for _ in range(FINISHING_CALLS):
                if not Started(root, options.pretend).wait():
                    break
            else:
                raise SystemExit(f"{FINISHING_CALLS} finishing calls failed one after another")
            sweeps += 1
            found = read_tree(sweep, root, options.pretend)
            equal += found == expected
            print_differences(found, expected)
            print(
                f"{kills['driver']} drivers and {kills['worker']} workers killed; {equal} of {sweeps} sweeps equal",
                flush=True,
            )


if __name__ == "__main__":
    main()
