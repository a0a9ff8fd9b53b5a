"""Digits under the recipe of Ganin et al. (2016), section 5.2."""

import dataclasses

from experiments.experiment import Experiment
from experiments.tables import across_methods


def mnist_to_mnist_m() -> Experiment:
    """The paper's printed network and recipe."""
    return Experiment(pair="mnist_to_mnist_m", network="mnist_paper", steps=10_000, evaluate_every=1000, log_every=100)


def mnist_to_mnist_m_modern() -> Experiment:
    """The same with BatchNorm and Dropout2d in the feature extractor."""
    return dataclasses.replace(mnist_to_mnist_m(), network="mnist_modern")


def syn_digits_to_syn_digits_m() -> Experiment:
    """Rendered digits to other rendered digits blended over photographs."""
    return dataclasses.replace(
        mnist_to_mnist_m_modern(), pair="syn_digits_to_syn_digits_m", steps=1000, evaluate_every=100, log_every=10
    )


def mnist_m(seeds: int = 3) -> list[Experiment]:
    """MNIST → MNIST-M under both recipes."""
    return [
        experiment
        for recipe in (mnist_to_mnist_m_modern(), mnist_to_mnist_m())
        for experiment in across_methods(recipe, seeds)
    ]
