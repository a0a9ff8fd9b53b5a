"""Trainings in several processes on this machine, for the tests of `experiments.distributed`."""

import dataclasses
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from datasets import load_pair
from experiments import running
from experiments.distributed import agree, joined, place
from experiments.errors import BadInput, run_command
from experiments.experiment import Experiment
from experiments.machine import Machine
from experiments.networks import NETWORKS
from experiments.training import train
from tests.small_runs import image_pair, small_moons

ALIKE = {
    "dann": small_moons(log_every=1),
    "source_only": small_moons(method="source_only"),
    "images": small_moons(pair="images", network="mnist_paper", steps=3, batch_size=16, evaluate_every=5, log_every=1),
}


LONG = small_moons(steps=400, evaluate_every=20, log_every=10)


def train_here(experiment: Experiment, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """Train and return the points that were logged, the states that were saved, the weights and their digest."""
    pair = image_pair() if experiment.pair == "images" else load_pair(experiment.pair)
    points, states = [], []
    trained = train(
        experiment,
        pair,
        log=lambda step, values: points.append((step, values)),
        save=states.append,
        state=state,
        machine=Machine(device="cpu"),
    )
    weights = {name: value.numpy() for name, value in trained.networks.state_dict().items()}
    return {"points": points, "states": states, "weights": weights, "digest": running.digest(trained.networks)}


def train_alike() -> dict[str, dict[str, Any]]:
    """Every experiment of `ALIKE`, without the states."""
    return {name: train_here(experiment) | {"states": None} for name, experiment in ALIKE.items()}


def train_long() -> tuple[str, list[Any]]:
    """Digest and points of `LONG`, undisturbed."""
    trained = train_here(LONG)
    return trained["digest"], trained["points"]


def resume_with_dropout() -> tuple[str, str, bool]:
    """Digests of an uninterrupted and of a resumed run, and whether the processes had drawn other numbers."""
    NETWORKS["dropout"] = dataclasses.replace(
        NETWORKS["moons"],
        feature_extractor=lambda: nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Dropout(0.5)),
    )
    experiment = small_moons(network="dropout")
    whole = train_here(experiment)
    state = agree(lambda: whole["states"][0])
    first, second = (one["cpu"] for one in state["random"])
    torch.manual_seed(99)  # what came between does not matter
    return whole["digest"], train_here(experiment, state)["digest"], not torch.equal(first, second)


def refuse() -> list[str]:
    """What is said about trainings that two processes cannot do."""
    said = []
    of_one = {"random": [{}], "step": 10}
    for experiment, state in (
        (small_moons(batch_size=30), None),
        (small_moons(pair="images", network="mnist_modern"), None),
        (small_moons(), of_one),
    ):
        try:
            train_here(experiment, state)
        except BadInput as error:
            said.append(str(error))
    return said


def disagree() -> str:
    """What every process hears when the first one fails to decide."""
    try:
        return agree(lambda: str(1 / 0))
    except ZeroDivisionError as error:
        return f"{error}"


def train_everything() -> dict[str, Any]:
    """All of the above, because starting processes takes longer than any of it."""
    return {each.__name__: each() for each in (train_alike, train_long, resume_with_dropout, refuse, disagree)}


def run_together(function: Callable[[], Any], count: int = 2) -> list[Any]:
    """What `function` returns in each of `count` joined processes, in their order."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    outcomes = context.Queue()
    processes = [
        context.Process(target=_join, args=(rank, count, port, function, outcomes), daemon=True)
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    returned = dict(outcomes.get(timeout=200) for _ in processes)
    for process in processes:
        process.join(60)
    return [returned[rank] for rank in range(count)]


def _join(rank: int, count: int, port: int, function: Callable[[], Any], outcomes: Any) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"LOCAL_RANK": str(rank), "TORCHELASTIC_RUN_ID": "test", "GLOO_SOCKET_IFNAME": "lo"}
    torch.set_num_threads(1)
    with joined(Machine(device="cpu")):
        outcomes.put((rank, function()))


def main() -> None:
    """One recorded run with many checkpoints; prints the number of its process for whoever wants to end it."""
    running.CHECKPOINT_EVERY_S = 0.0
    torch.set_num_threads(1)
    with joined(Machine(device="cpu")) as machine:
        print(f"process {place()[0]} is {os.getpid()}", flush=True)
        running.run(LONG, machine=machine)


if __name__ == "__main__":
    sys.exit(run_command(lambda arguments: main() or 0, []))
