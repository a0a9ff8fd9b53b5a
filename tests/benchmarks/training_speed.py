"""How much of the machine a training uses: its step against the bare step.

    GRL_DATA=... OMP_NUM_THREADS=1 python -m tests.benchmarks.training_speed [pair]

The bare step is forward, backward and optimiser of the same networks in the same memory format on one resident batch:
no data, no schedules, no curves. Beside it the training in bfloat16 and, where there is a C++ compiler, the compiled
one. All are timed in turns in one process; the ratio of medians is what counts. Without GRL_DATA:
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

from datasets import Batches, DomainPair, Evaluation, Labelled, load_pair
from experiments.digits import mnist_to_mnist_m, mnist_to_mnist_m_modern
from experiments.errors import BadInput
from experiments.experiment import Experiment
from experiments.machine import AUTOMATIC, Machine
from experiments.methods import METHODS
from experiments.networks import build_networks
from experiments.recording import Recording
from experiments.training import train

WARM_UP, STEPS, ROUNDS = 10, 40, 7


def time_bare_step(experiment: Experiment, pair: DomainPair) -> float:
    """Milliseconds per step on one resident batch."""
    networks = build_networks(experiment.network, classes=len(pair.class_names), seed=0).train()
    optimiser = torch.optim.SGD(networks.parameters(), lr=1e-3, momentum=0.9, fused=True)
    source = next(Batches(pair.source, experiment.batch_size // 2, seed=0))
    target = next(Batches(pair.target, experiment.batch_size // 2, seed=0))
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            start = time.perf_counter()
        if experiment.alpha is None:
            loss = METHODS[experiment.method].losses(networks, source).label_loss
        else:
            losses = METHODS[experiment.method].losses(networks, source, target, alpha=0.5, batch_norm="joint")
            loss = losses.label_loss + 2.0 * losses.domain_loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return (time.perf_counter() - start) * 1000 / STEPS


def time_training_step(experiment: Experiment, pair: DomainPair, machine: Machine = AUTOMATIC) -> float:
    """Milliseconds per step of `train`: data, schedules, curves and their record included, evaluation apart."""
    stamps: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording(Path(folder), {"tags": {}})

        def log(step: int, values: dict[str, float]) -> None:
            recording.log(step, values)
            stamps.append(time.perf_counter())

        train(dataclasses.replace(experiment, steps=WARM_UP + STEPS), pair, log=log, machine=machine)
    first, last = WARM_UP // experiment.log_every - 1, (WARM_UP + STEPS) // experiment.log_every - 1
    return (stamps[last] - stamps[first]) * 1000 / STEPS


def main() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    name = sys.argv[1] if len(sys.argv) > 1 else "mnist_to_mnist_m"
    pair = load_pair(name if len(sys.argv) > 1 or os.environ.get("GRL_DATA") else "syn_digits_to_syn_digits_m")
    small = Labelled(name="few test", inputs=pair.source.inputs[:10], labels=pair.source.labels[:10])
    pair = dataclasses.replace(pair, evaluation=Evaluation(source_test=small, target_test=small))  # evaluation apart
    print(
        f"{pair.title}, {torch.get_num_threads()} thread, torch {torch.__version__}, "
        f"batch 128 = 64 + 64, median of {ROUNDS}"
    )
    for recipe in (mnist_to_mnist_m(), mnist_to_mnist_m_modern()):
        for method in ("source_only", "dann"):
            experiment = dataclasses.replace(recipe.with_method(method), log_every=10, evaluate_every=1000)
            timings: dict[str, Callable[[], float]] = {
                "bare": partial(time_bare_step, experiment, pair),
                "training": partial(time_training_step, experiment, pair),
                "bfloat16": partial(time_training_step, dataclasses.replace(experiment, precision="bfloat16"), pair),
            }
            with contextlib.suppress(BadInput):  # no compiler
                timings["compiled"] = partial(time_training_step, experiment, pair, Machine(compile="inductor"))
            rounds = [{way: measure() for way, measure in timings.items()} for _ in range(ROUNDS)]
            medians = {way: statistics.median(each[way] for each in rounds) for way in timings}
            print(
                f"{recipe.network:<13}{method:<12}",
                *(f"{way} {value:6.2f} ms " for way, value in medians.items()),
                f"bare / training {medians['bare'] / medians['training']:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
