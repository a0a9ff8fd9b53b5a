"""A sweep on a Ray cluster that loses a node every minute, beside one that nobody touched.

    python -m tests.benchmarks.node_losses --every 60

Needs Ray: pip install "ray[client]". Prints how many nodes were lost and whether Optuna's trials and MLflow's tree are
those of the undisturbed sweep: every trial once, every run once, the same values and states.
"""

import argparse
import dataclasses
import os
import tempfile
import threading
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


class Losses(threading.Thread):
    """Takes a node away every so often, and puts a new one in its place."""

    def __init__(self, cluster: Cluster, every_s: float):
        super().__init__(daemon=True)
        self._cluster, self._every_s = cluster, every_s
        self._nodes = [cluster.add_node(num_cpus=1) for _ in range(NODES)]
        self.count, self.over = 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(self._every_s):
            self._cluster.remove_node(self._nodes.pop(0), allow_graceful=False)
            self._nodes.append(self._cluster.add_node(num_cpus=1))
            self.count += 1
            print(f"{self.count} nodes lost", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=float, default=60.0, help="seconds from loss to loss")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20_000, help="of a run")
    options = parser.parse_args()
    recipe = dataclasses.replace(RECIPE, steps=options.steps, evaluate_every=options.steps // 20, log_every=100)
    sweep: Sweep = small_sweep(recipe=recipe, trials=options.trials, seeds=2, pruner="median")

    def train(root: Path, pool: Local | Ray) -> float:
        root.mkdir()
        os.environ["GRL_RUNS"] = str(root)
        began_s = time.monotonic()
        outcome = work_off_sweep(sweep, open_pool=lambda: pool, console=Console(quiet=True), ordered=True, ahead=NODES)
        if outcome.exit_code:
            raise SystemExit(f"the sweep ended with {outcome}")
        return time.monotonic() - began_s

    with tempfile.TemporaryDirectory() as temporary:
        undisturbed, lossy = Path(temporary, "undisturbed"), Path(temporary, "lossy")
        print(f"undisturbed, {NODES} local workers: {train(undisturbed, Local(NODES)):.0f} s", flush=True)
        os.environ["GRL_RUNS"] = str(lossy)  # as the nodes find it
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        losses = Losses(cluster, options.every)
        cluster.wait_for_nodes()
        losses.start()
        try:
            took_s = train(lossy, Ray(cluster.address))
        finally:
            losses.over.set()
            losses.join()
            cluster.shutdown()
        found, expected = tree(sweep, lossy), tree(sweep, undisturbed)
        print_differences(found, expected)
        print(f"{losses.count} nodes lost in {took_s:.0f} s; the sweep is {'equal' * (found == expected) or 'another'}")


if __name__ == "__main__":
    main()
