"""A sweep on a Ray cluster that loses a node every minute, beside one that nobody touched.

    python -m tests.benchmarks.node_losses --every 60

Needs Ray: pip install "ray[client]". Prints how many nodes were lost and whether Optuna's trials and MLflow's tree are
those of the undisturbed sweep: every trial once, every run once, the same values and states.
"""

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingImports]
from rich.console import Console

from experiments.work.local import Local
from experiments.work.ray import Ray
from sweeps.sweep import Sweep
from sweeps.work import work_off_sweep
from tests.benchmarks.sweep_kills import print_differences, tree
from tests.support.small_sweeps import RECIPE, small_sweep

NODES = 2


def build_sweep(trials: int, steps: int) -> Sweep:
    recipe = dataclasses.replace(RECIPE, steps=steps, evaluate_every=steps // 20, log_every=100)
    return small_sweep(recipe=recipe, trials=trials, seeds=2, pruner="median")


def train(sweep: Sweep, pool: Local | Ray) -> None:
    outcome = work_off_sweep(sweep, open_pool=lambda: pool, console=Console(quiet=True), ordered=True, ahead=NODES)
    if outcome.exit_code:
        raise SystemExit(f"the sweep ended with {outcome}")


def lose_nodes(every_s: float, root: Path) -> int:
    """Train on a cluster that loses a node every so often and gets a new one in its place; returns how many it lost."""
    os.environ["GRL_RUNS"] = str(root)  # as the nodes find it
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes, lost = [cluster.add_node(num_cpus=1) for _ in range(NODES)], 0
    cluster.wait_for_nodes()
    driver = subprocess.Popen([sys.executable, "-m", __spec__.name, *sys.argv[1:], "--address", cluster.address])
    try:
        while True:
            try:
                if driver.wait(every_s):
                    raise SystemExit("the sweep did not end")
                return lost
            except subprocess.TimeoutExpired:
                cluster.remove_node(nodes.pop(0), allow_graceful=False)
                nodes.append(cluster.add_node(num_cpus=1))
                lost += 1
                print(f"{lost} nodes lost", flush=True)
    finally:
        driver.kill()
        cluster.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=float, default=60.0, help="seconds from loss to loss")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20_000, help="of a run")
    parser.add_argument("--address", help="of a cluster: only train there")
    options = parser.parse_args()
    sweep = build_sweep(options.trials, options.steps)
    if options.address:
        return train(sweep, Ray(options.address))
    with tempfile.TemporaryDirectory() as temporary:
        undisturbed, lossy = Path(temporary, "undisturbed"), Path(temporary, "lossy")
        undisturbed.mkdir()
        lossy.mkdir()
        os.environ["GRL_RUNS"] = str(undisturbed)
        began_s = time.monotonic()
        train(sweep, Local(NODES))
        print(f"undisturbed, {NODES} local workers: {time.monotonic() - began_s:.0f} s", flush=True)
        began_s = time.monotonic()
        lost = lose_nodes(options.every, lossy)
        found, expected = tree(sweep, lossy), tree(sweep, undisturbed)
        print_differences(found, expected)
        same = "equal" if found == expected else "another"
        print(f"{lost} nodes lost in {time.monotonic() - began_s:.0f} s; the sweep is {same}")
    return None


if __name__ == "__main__":
    main()
