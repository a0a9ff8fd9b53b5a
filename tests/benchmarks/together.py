"""What it gains to train many runs as one program: seeds and alphas of a small network.

    [GRL_DATA=...] OMP_NUM_THREADS=1 python -m tests.benchmarks.together [moons] [shallow] [mlp] [mnist_paper] [endings]

One thread. Single runs and members are timed in turns, from one logged point to a later one: data, schedules and curves
included, evaluation, the doctor and the trace apart. Gain = members · time of a single step / time of a common step.
The shallow network needs the Amazon reviews below GRL_DATA; without them it is skipped.

`endings`: what becomes of a rounding. The same 32 runs of moons in the plain loop and together, to the last step.
"""

import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import torch

from datasets import DatasetError, load_pair
from experiments.experiment import Experiment
from experiments.methods.dann import DANN
from experiments.recipes.digits import mnist_to_mnist_m
from experiments.recipes.moons import moons, moons_alphas
from experiments.recipes.office import office_caltech10
from experiments.recipes.reviews import books_to_dvd
from experiments.record.names import TARGET_ACCURACY
from experiments.training.alone import Alone
from experiments.training.evaluation import Evaluation
from experiments.training.loop import Program, Watch, train
from experiments.training.together import Together
from grl.schedules import Constant
from tests.benchmarks.training_speed import without_evaluation

ROUNDS = 5
# Name of the network, its recipe, steps per measurement, (alphas, seeds).
CASES: dict[str, tuple[Experiment, int, list[tuple[int, int]]]] = {
    "moons": (moons(), 300, [(4, 1), (16, 1), (16, 3), (16, 5), (16, 10)]),
    "shallow": (books_to_dvd(), 640, [(1, 1), (9, 1), (9, 4), (9, 12)]),
    "mlp": (office_caltech10(), 100, [(1, 2), (1, 5), (2, 5), (4, 5)]),
    "mnist_paper": (dataclasses.replace(mnist_to_mnist_m(), pair="syn_digits_to_syn_digits_m"), 8, [(2, 1), (4, 1)]),
}


class Stamps(Watch):
    """When something was logged, and the target accuracies at each evaluation."""

    def __init__(self) -> None:
        self.times_s: list[float] = []
        self.accuracies: list[list[float]] = []

    def logged(self, step: int, values: dict[int, dict[str, float]]) -> None:
        self.times_s.append(time.perf_counter())

    def evaluated(self, step: int, evaluations: dict[int, Evaluation]) -> None:
        self.accuracies.append([each.scores[TARGET_ACCURACY] for each in evaluations.values()])


def time_steps(build: Callable[[], Program], steps: int) -> float:
    """Milliseconds a step, from a quarter of the steps on."""
    train(build(), stamps := Stamps())
    return (stamps.times_s[3] - stamps.times_s[0]) * 1000 / (steps * 3 // 4)


def find_endings(program: Program) -> list[float]:
    """The members' target accuracies at the last step."""
    train(program, stamps := Stamps())
    return stamps.accuracies[-1]


def compare_endings() -> None:
    """Print by how much target accuracies at the last step differ between the plain loop and the common program."""
    pair = load_pair("moons")
    members = [run for run in moons_alphas(seeds=2) if isinstance(run.method, DANN)]
    together = find_endings(Together(members, pair))
    differences = [
        common - find_endings(Alone(experiment, pair))[0] for common, experiment in zip(together, members, strict=True)
    ]
    sizes = [abs(difference) for difference in differences]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    print(f"endings      target accuracies of {len(members)} runs at the last of {moons().steps} steps differ by")
    print(
        f"             {max(sizes):.3f} at most, {statistics.fmean(sizes):.3f} on average, "
        f"{statistics.fmean(differences):+.3f} ± {error:.3f} (standard error) in the mean"
    )


def main() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    print(
        f"{torch.get_num_threads()} thread, torch {torch.__version__}, medians of {ROUNDS}, load {os.getloadavg()[0]}"
    )
    for name in sys.argv[1:] or [*CASES, "endings"]:
        if name == "endings":
            compare_endings()
            continue
        recipe, steps, sizes = CASES[name]
        try:
            pair = without_evaluation(load_pair(recipe.pair))
        except DatasetError as error:
            print(f"{name:<12} skipped: {error}")
            continue
        recipe = dataclasses.replace(recipe, steps=steps, log_every=steps // 4, evaluate_every=steps)
        for alphas, seeds in sizes:
            members = [
                dataclasses.replace(recipe, method=DANN(alpha=Constant(value=0.02 * (alpha + 1))), seed=seed)
                for alpha in range(alphas)
                for seed in range(seeds)
            ]
            single, common = [], []
            for _ in range(ROUNDS):
                single.append(time_steps(partial(Alone, members[0], pair), steps))
                common.append(time_steps(partial(Together, members, pair), steps))
            one, all_of_them = statistics.median(single), statistics.median(common)
            print(
                f"{name:<12} {alphas:>2} alphas x {seeds:>2} seeds  single {one:7.3f} ms  "
                f"together {all_of_them:8.3f} ms  gain {len(members) * one / all_of_them:5.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
