"""Every sweep that has a name. One of a user's own needs no line here: it is found by its import path."""

from collections.abc import Callable
from typing import Any

from datasets import pair_fingerprint
from experiments.recipes.base import for_pair
from experiments.recipes.moons import moons
from experiments.recipes.office import list_tasks
from sweeps.spaces import suggest_alpha, suggest_recipe, suggest_stable
from sweeps.sweep import Search, Sweep

DIGITS = ("syn_digits_to_syn_digits_m", "mnist_to_mnist_m", "mnist_to_usps", "usps_to_mnist")


def demo() -> Sweep:
    """Three alpha schedules on moons, chosen by information maximisation; under a minute on two cores."""
    return Sweep(name="demo", recipe=moons(), suggest=suggest_stable, search=Search(trials=12, seeds=2))


def alpha() -> Sweep:
    """Every family of alpha schedules with its parameters, on moons or on --pair."""
    return Sweep(name="alpha", recipe=moons(), suggest=suggest_alpha, search=Search(trials=60, seeds=3))


def recipe() -> Sweep:
    """Learning rate, weight decay and alpha together, on moons or on --pair."""
    return Sweep(name="recipe", recipe=moons(), suggest=suggest_recipe, search=Search(trials=60, seeds=3))


def alpha_atlas() -> list[Sweep]:
    """Every family of alpha schedules on moons, digits and the deep Office-Caltech-10 tasks that are prepared here."""
    digits = [for_pair(pair) for pair in DIGITS if pair_fingerprint(pair)]
    office = [task for task in list_tasks() if pair_fingerprint(task.pair)]
    return [
        Sweep(name=f"alpha_{each.pair}", recipe=each, suggest=suggest_alpha, search=Search(trials=40, seeds=3))
        for each in (moons(), *digits, *office)
    ]


SWEEPS: dict[str, Callable[[], Any]] = {each.__name__: each for each in (demo, alpha, recipe, alpha_atlas)}
