"""The main job: three methods on two built-in pairs, with no download.

make demo
"""

from experiments.experiment import Experiment
from experiments.recipes.base import across_methods
from experiments.recipes.digits import syn_digits_to_syn_digits_m
from experiments.recipes.moons import moons


def demo(seeds: int = 5) -> list[Experiment]:
    """Source only, DANN and target only on rendered digits and on moons; the longest runs first."""
    return across_methods(syn_digits_to_syn_digits_m(), seeds) + across_methods(moons(), seeds)
