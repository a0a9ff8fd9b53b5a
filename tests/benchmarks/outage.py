"""Whether every point of many runs reaches a real MLflow server, once, however often the server goes away.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.outage [outages] [seed]

Trains moons runs one after the other, live curves on the way, while the server is killed or made to hang at random
moments for random times, 20 times unless told. Then the store is read back and compared with the runs' folders, value
by value. Exit code 1 where anything is lost or doubled.
"""

import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import torch

from experiments.record import names
from experiments.record.delivery import Destination, address, deliver, undelivered
from experiments.record.folder import Recording, folder_of
from experiments.record.store import open_client
from experiments.work import checkpoint
from experiments.work.courier import Courier
from experiments.work.run import train_runs
from tests.support.mlflow_server import MlflowServer
from tests.support.recorded_curves import curves_of, recorded_curves
from tests.support.small_runs import small_moons

UP_S, DOWN_S, HANG_S = (0.5, 6.0), (0.0, 4.0), (0.5, 5.0)
REQUEST_TIMEOUT_S = 2  # shorter than some of the times it hangs


def break_off(server: MlflowServer, outages: int, chance: random.Random, done: Counter, over: threading.Event) -> None:
    """Make the server fail `outages` times, every second one a kill, and leave it up."""
    for number in range(outages):
        time.sleep(chance.uniform(*UP_S))
        if number % 2:
            server.signal(signal.SIGSTOP)
            time.sleep(chance.uniform(*HANG_S))
            server.signal(signal.SIGCONT)
            done["times it hung"] += 1
        else:
            server.kill()
            time.sleep(chance.uniform(*DOWN_S))
            server.start()
            done["kills"] += 1
        print(f"outage {number + 1} of {outages} is over", flush=True)
    over.set()


def main() -> int:
    torch.set_num_threads(1)
    outages = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    chance = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(REQUEST_TIMEOUT_S)
    checkpoint.EVERY_S = checkpoint.COST_SHARE = 0.0  # points become final, and are sent, at every evaluation
    with tempfile.TemporaryDirectory() as root, contextlib.ExitStack() as at_end:
        server = MlflowServer(Path(root))
        at_end.callback(server.kill)
        os.environ |= {"GRL_RUNS": f"{root}/runs", "MLFLOW_TRACKING_URI": server.uri}
        server.start()
        done, over = Counter(), threading.Event()
        threading.Thread(target=break_off, args=(server, outages, chance, done, over), daemon=True).start()
        experiments, started = [], time.monotonic()
        mark = Recording.mark
        with Courier() as courier:

            def mark_and_send(self: Recording, status: str, message: str = "") -> None:
                mark(self, status, message)
                courier.send(deliver, self.folder)

            Recording.mark = mark_and_send
            while not over.is_set():
                experiments.append(small_moons(seed=len(experiments), steps=2000, evaluate_every=50, log_every=10))
                address(folder_of(experiments[-1].hash), Destination("outage"))
                train_runs(experiments[-1:])
        took_s = time.monotonic() - started
        print(f"{len(experiments)} runs in {took_s:.0f} s; {done['kills']} kills, hung {done['times it hung']} times")
        print(f"trouble at the end: {courier.trouble or 'none'}; runs left on disk: {len(undelivered())}")
        return compare(experiments)


def compare(experiments: list) -> int:
    """Print what was logged and what arrived; 1 where they differ."""
    client = open_client()
    experiment_id = client.get_experiment_by_name("outage").experiment_id
    logged, arrived, extra_runs = Counter(), Counter(), 0
    for experiment in experiments:
        found = client.search_runs([experiment_id], f"tags.{names.HASH} = '{experiment.hash}'")
        extra_runs += len(found) - 1
        for counter, curves in (
            (logged, [recorded_curves(experiment)]),
            (arrived, [curves_of(client, each.info.run_id) for each in found]),
        ):
            for curve in curves:
                counter.update((experiment.hash, name, *point) for name, points in curve.items() for point in points)
    lost, doubled = logged - arrived, arrived - logged
    print(f"{logged.total()} values logged, {arrived.total()} arrived: {lost.total()} lost, {doubled.total()} too many")
    print(f"{extra_runs} runs too many")
    return 1 if lost or doubled or extra_runs else 0


if __name__ == "__main__":
    sys.exit(main())
