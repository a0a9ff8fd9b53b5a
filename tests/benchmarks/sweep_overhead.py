"""What a trial costs beside its training: a sweep whose runs train a single step, one worker.

    python -m tests.benchmarks.sweep_overhead --trials 300
    python -m tests.benchmarks.sweep_overhead --trials 300 --pretend

Prints milliseconds a trial, from one trial's begin to the next one's, as medians of the first and of the last fifth of
the study, and CPU milliseconds of the driver, which the load of the machine changes little. With --pretend nothing is
trained: what is left is Optuna, the journal, the record and MLflow.
"""

import argparse
import itertools
import os
import resource
import statistics
import tempfile
import time

from rich.console import Console

from experiments.work.local import Local
from sweeps.spaces import suggest_alpha
from sweeps.study import open_study
from sweeps.work import work_off_sweep
from tests.support.small_sweeps import RECIPE, Pretend, changed, small_sweep


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--pretend", action="store_true", help="train nothing")
    options = parser.parse_args()
    recipe = RECIPE.__class__(pair="moons", network=RECIPE.network, steps=1, evaluate_every=1, log_every=1)
    sweep = small_sweep(recipe=recipe, suggest=suggest_alpha, trials=options.trials, seeds=options.seeds)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["GRL_RUNS"] = temporary
        quiet, pool = Console(quiet=True), Pretend if options.pretend else lambda: Local(1)
        work_off_sweep(changed(sweep, trials=2, seed=99), open_pool=pool, console=quiet)  # tables and imports
        began_s, cpu_s = time.monotonic(), time.process_time()
        work_off_sweep(sweep, open_pool=pool, console=quiet)
        whole_s, parent_s = time.monotonic() - began_s, time.process_time() - cpu_s
        begun = [each.datetime_start for each in open_study(sweep.study_name).get_trials(deepcopy=False)]
    gaps = [(after - before).total_seconds() * 1e3 for before, after in itertools.pairwise(begun)]  # type: ignore
    fifth = max(1, len(gaps) // 5)
    first, last = statistics.median(gaps[1 : fifth + 1]), statistics.median(gaps[-fifth:])
    each_ms = whole_s / options.trials * 1e3
    print(f"{options.trials} trials of {options.seeds} seeds: {whole_s:.1f} s, {each_ms:.0f} ms each")
    print(f"ms a trial, median of the first fifth {first:.0f}, of the last {last:.0f}")
    worker_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    print(f"CPU: driver {parent_s / options.trials * 1e3:.0f} ms a trial, workers {worker_s:.1f} s in all")


if __name__ == "__main__":
    main()
