"""How much of the machine a training uses: its step against the bare step.

    GRL_DATA=... OMP_NUM_THREADS=1 python -m tests.benchmarks.training_speed [pair]

The bare step is forward, backward and optimiser of the same networks in the same memory format on one resident batch:
no data, no schedules, no curves. Beside it the training in bfloat16 and, where there is a C++ compiler, the compiled
one; then the small networks of moons and reviews, alone and as a bundle of one. All are timed in turns in one process;
in brackets the median of the ratios to the bare step, which is what counts. Without GRL_DATA:
`syn_digits_to_syn_digits_m`.
"""

import contextlib
import dataclasses
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from datasets import Batches, DatasetError, DomainPair, Evaluation, Labelled, load_pair
from experiments.errors import BadInput
from experiments.experiment import Experiment
from experiments.networks import Networks, build_networks
from experiments.recipes.base import with_method
from experiments.recipes.digits import mnist_to_mnist_m, mnist_to_mnist_m_modern
from experiments.recipes.moons import moons
from experiments.recipes.reviews import books_to_dvd
from experiments.record.folder import Recording
from experiments.training.alone import Alone, sample_shape
from experiments.training.loop import Program, Watch, train
from experiments.training.machine import AUTOMATIC, Machine
from experiments.training.together import Together, can_be_together

WARM_UP, STEPS, SMALL_STEPS, ROUNDS = 10, 40, 600, 7


def build(experiment: Experiment, pair: DomainPair) -> Networks:
    """The networks of an experiment, in training mode."""
    shape, classes = sample_shape(pair, experiment.augment), len(pair.class_names)
    return build_networks(experiment.network, experiment.method.heads, shape=shape, classes=classes, seed=0).train()


def time_bare_step(experiment: Experiment, pair: DomainPair, steps: int = STEPS) -> float:
    """Milliseconds per step on one resident batch."""
    method, networks = experiment.method, build(experiment, pair)
    optimiser = experiment.optimiser.build(networks.parameters(), 1e-3)
    half = experiment.batch_size // 2
    batches = {"source": next(Batches(pair.source, half, seed=0)), "target": next(Batches(pair.target, half, seed=0))}
    read = {domain: batch for domain, batch in batches.items() if domain in method.reads}
    scheduled = dict.fromkeys(method.schedules, 0.5)
    start_s = 0.0
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            start_s = time.perf_counter()
        loss = method.losses(networks, method.forward(networks, read), **scheduled).objective
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return (time.perf_counter() - start_s) * 1000 / steps


class Stamps(Watch):
    """Records the curves of one member, and when."""

    def __init__(self, recording: Recording):
        self.recording, self.steps, self.times_s = recording, [], []

    def logged(self, step: int, values: dict[int, dict[str, float]]) -> None:
        self.recording.log(step, values[0])
        self.steps.append(step)
        self.times_s.append(time.perf_counter())


def time_program(program: Program) -> float:
    """Milliseconds per step of `train`: data, schedules, curves and their record included, evaluation apart."""
    with tempfile.TemporaryDirectory() as folder:
        stamps = Stamps(Recording(Path(folder), {"tags": {}}))
        train(program, stamps)
    first = next(place for place, step in enumerate(stamps.steps) if step >= WARM_UP)
    return (stamps.times_s[-1] - stamps.times_s[first]) * 1000 / (stamps.steps[-1] - stamps.steps[first])


def time_training_step(experiment: Experiment, pair: DomainPair, machine: Machine = AUTOMATIC) -> float:
    """The same of a run alone."""
    return time_program(Alone(dataclasses.replace(experiment, steps=WARM_UP + STEPS), pair, machine))


def without_evaluation(pair: DomainPair) -> DomainPair:
    """The pair with ten test samples."""
    few = Labelled(name="few test", inputs=pair.source.inputs[:10], labels=pair.source.labels[:10])
    return dataclasses.replace(pair, evaluation=Evaluation(source_test=few, target_test=few))


def time_small_networks() -> None:
    """Networks whose step is mostly the cost of starting operations: the loop, and a bundle of one."""
    for recipe in (moons(), books_to_dvd()):
        try:
            pair = without_evaluation(load_pair(recipe.pair))
        except DatasetError as error:
            print(f"{recipe.pair} skipped: {error}")
            continue
        for method in ("source_only", "dann"):
            experiment = dataclasses.replace(
                with_method(recipe, method), steps=SMALL_STEPS, log_every=100, evaluate_every=SMALL_STEPS
            )
            ways: dict[str, Callable[[], float]] = {
                "bare": partial(time_bare_step, experiment, pair, SMALL_STEPS),
                "training": lambda e=experiment, p=pair: time_program(Alone(e, p)),
            }
            if can_be_together(experiment, AUTOMATIC):
                ways["bundle of one"] = lambda e=experiment, p=pair: time_program(Together([e], p))
            compare(f"{recipe.network.name:<13}{method:<12}", ways)


def compare(title: str, ways: dict[str, Callable[[], float]]) -> None:
    """Print the medians of all ways, timed in turns, and how often the bare step goes into each."""
    rounds = [{way: measure() for way, measure in ways.items()} for _ in range(ROUNDS)]
    medians = {way: statistics.median(each[way] for each in rounds) for way in ways}
    ratios = {way: statistics.median(each[way] / each["bare"] for each in rounds) for way in ways}
    print(title, *(f"{way} {value:6.3f} ms ({ratios[way]:.2f}) " for way, value in medians.items()), flush=True)


def main() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    name = sys.argv[1] if len(sys.argv) > 1 else "mnist_to_mnist_m"
    pair = load_pair(name if len(sys.argv) > 1 or os.environ.get("GRL_DATA") else "syn_digits_to_syn_digits_m")
    pair = without_evaluation(pair)
    print(
        f"{pair.title}, {torch.get_num_threads()} thread, torch {torch.__version__}, "
        f"batch 128 = 64 + 64, median of {ROUNDS}"
    )
    for recipe in (mnist_to_mnist_m(), mnist_to_mnist_m_modern()):
        for method in ("source_only", "dann"):
            experiment = dataclasses.replace(with_method(recipe, method), log_every=10, evaluate_every=1000)
            timings: dict[str, Callable[[], float]] = {
                "bare": partial(time_bare_step, experiment, pair),
                "training": partial(time_training_step, experiment, pair),
                "bfloat16": partial(time_training_step, dataclasses.replace(experiment, precision="bfloat16"), pair),
            }
            with contextlib.suppress(BadInput):  # no compiler
                timings["compiled"] = partial(time_training_step, experiment, pair, Machine(compile="inductor"))
            compare(f"{recipe.network.name:<13}{method:<12}", timings)
    time_small_networks()


if __name__ == "__main__":
    main()
