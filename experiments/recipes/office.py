"""Office-Caltech-10 on frozen features: twelve tasks, every method that learns from features, five seeds.

    GRL_DATA=... python -m experiments run office_caltech10_deep
    GRL_DATA=... python -m experiments run office_caltech10_surf

Features, both label-free and named in the pair: `efficientnet_lite0`, the 1,280 of a network trained on ImageNet, as
they are; `surf_zscore`, 800 counts of SURF words as most papers take them, shares of an image's counts standardised
over each part (the nearest source neighbour has the twelve accuracies of Long et al., ICCV 2013).

The recipe follows the Transfer-Learning-Library's for Office-31, on features: a bottleneck of 256 units and a linear
label head, SGD with momentum 0.9 and weight decay 0.001, 32 source and 32 target samples a step, that library's
learning rate for its heads, 0.01. Methods keep their own defaults: nothing was tuned. 1,000 steps are 28 passes over
the largest source and 200 over the smallest. Not as there: no Nesterov momentum, no BatchNorm in the bottleneck, a
domain classifier of 256 units, `domain_weight` 2, a rate that falls over these 1,000 steps to .0017 (there .0059 after
as many). MDD's alpha, whose ramp counts steps, ends at .046 of the .1 that it would reach.
"""

from dataclasses import replace
from itertools import permutations

from experiments.experiment import Experiment
from experiments.methods.cdan import CDAN
from experiments.networks.mlp import MLP
from experiments.optimisers import SGD
from experiments.recipes.base import DEEP, across_methods
from grl.schedules import InverseDecay

PARTS = ("amazon", "caltech10", "dslr", "webcam")


def office_caltech10(features: str = "efficientnet_lite0") -> Experiment:
    """DANN from amazon to webcam on one kind of features."""
    return Experiment(
        pair=name_task("amazon", "webcam", features),
        network=MLP(hidden=(256,)),
        lr=InverseDecay(lr=0.01),
        optimiser=SGD(weight_decay=0.001),
        batch_size=64,
        steps=1000,
        evaluate_every=250,
        log_every=50,
    )


def office_caltech10_deep(seeds: int = 5) -> list[Experiment]:
    """All methods and tasks on deep features.

    Measured (mean of the tasks, n = 5): source only .941, DANN .943, CDAN .963, MCC .966; 4 to 7 seconds a run.
    """
    return across_tasks("efficientnet_lite0", seeds)


def office_caltech10_surf(seeds: int = 5) -> list[Experiment]:
    """All methods and tasks on SURF histograms.

    Measured (mean of the tasks, n = 5): source only .475, DANN .479, CDAN .500, MCC .513.
    """
    return across_tasks("surf_zscore", seeds)


def name_task(source: str, target: str, features: str) -> str:
    """The pair of two parts of Office-Caltech-10."""
    return f"office_caltech10_{source}_{features}_to_office_caltech10_{target}_{features}"


def list_tasks(features: str = "efficientnet_lite0") -> list[Experiment]:
    """DANN for each ordered pair of parts."""
    recipe = office_caltech10(features)
    return [replace(recipe, pair=name_task(*parts, features)) for parts in permutations(PARTS, 2)]


def across_tasks(features: str, seeds: int) -> list[Experiment]:
    """All tasks under every method, and CDAN with entropy conditioning, too."""
    return [run for task in list_tasks(features) for run in across_methods(task, seeds, (*DEEP, CDAN(entropy=True)))]
