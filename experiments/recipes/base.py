"""The building blocks of recipes: the same experiment under several methods and seeds, and one for any pair.

A recipe is a function that returns an `Experiment`, or a list of them, which is a table.
"""

import dataclasses
from collections.abc import Generator, Sequence

from datasets import load_pair
from experiments.errors import BadInput, unknown
from experiments.experiment import Experiment
from experiments.methods import METHODS, Method
from experiments.networks import Network
from experiments.networks.cnn import CNN
from experiments.networks.mlp import MLP
from experiments.networks.resnet import ResNet18
from grl.schedules import InverseDecay

DEEP = ("source_only", "target_only", "dann", "cdan", "mdd", "mcd", "daln", "coral", "mmd", "mcc", "bnm")
Stages = Generator[list[Experiment], list[Experiment], list[Experiment]]
"""Yields runs, is sent them trained, and returns the table."""
SMALL_IMAGE = 64  # pixels a side; what is larger is a photograph


def with_method(recipe: Experiment, method: str | type[Method] | Method) -> Experiment:
    """The same recipe for another method, which takes over what the recipe chose of the fields that both have alike.

    A field whose default the other method has changed, such as MDD's alpha, keeps that; an instance stays as it is.
    """
    if isinstance(method, Method):
        return dataclasses.replace(recipe, method=method)
    if isinstance(method, str):
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        method = METHODS[method]
    if type(recipe.method) is method:
        return recipe
    theirs = {each.name: each for each in dataclasses.fields(method)}
    chosen = {
        each.name: value
        for each in dataclasses.fields(recipe.method)
        if each.name in theirs
        and theirs[each.name].default == each.default
        and (value := getattr(recipe.method, each.name)) != each.default
    }
    return dataclasses.replace(recipe, method=method(**chosen))


def across_methods(
    recipe: Experiment, seeds: int, methods: Sequence[str | Method] = ("dann", "source_only", "target_only")
) -> list[Experiment]:
    """One recipe under several methods, in their order, each for seeds 0 to seeds - 1."""
    if seeds < 1:
        raise BadInput(f"seeds must be >= 1, got {seeds}")
    return [dataclasses.replace(with_method(recipe, method), seed=seed) for method in methods for seed in range(seeds)]


def part_of(option: str, word: str, known: Sequence[str]) -> list[str]:
    """What an option of a table takes of what it consists of: `all`, or one by its name.

    Raises:
        BadInput: there is no such part.
    """
    if word != "all" and word not in known:
        raise unknown(option, word, ["all", *known])
    return [each for each in known if word in ("all", each)]


def for_pair(name: str) -> Experiment:
    """An experiment for a pair that no recipe names: a network that fits its inputs, the paper's optimisation.

    Features train a perceptron, small images a convolution network, photographs a ResNet-18 from random weights.

    Raises:
        DatasetError: there is no such pair, or its data are not here.
    """
    shape = load_pair(name).shape
    if len(shape) == 1:
        return Experiment(pair=name, network=MLP(), steps=2000, evaluate_every=200, log_every=20)
    network: Network = CNN() if max(shape[:2]) <= SMALL_IMAGE else ResNet18()
    return Experiment(
        pair=name,
        network=network,
        lr=InverseDecay(lr=0.01),
        batch_size=128 if isinstance(network, CNN) else 64,
        steps=3000,
        evaluate_every=300,
        log_every=20,
    )
