"""The inter-twinning moons of Ganin et al. (2016), figure 2: the target is the source rotated by 35 degrees.

    python -m experiments run moons
    python -m experiments run moons_alphas
    python -m experiments run ganin2016_figure2     # the paper's own network and lambda

A second a run on one core. The paper prints no accuracy, one hidden layer of 15 sigmoid units and lambda = 6; here the
feature extractor has two hidden layers of 32 ReLU units, and the adversary is the deep recipe's (Ganin ramp to 1, both
domain means summed).

How the constants were chosen, without a target label: among learning rates 0.03, 0.1 and 0.3 and 1,000 or 2,000 steps,
the pair with the highest information maximisation of DANN on the unlabelled target, mean of seeds 0 to 3 (`LOG.md`,
2026-11-21).
"""

import dataclasses

from experiments.experiment import Experiment
from experiments.methods.dann import DANN
from experiments.networks.moons import Moons
from experiments.networks.shallow import Shallow
from experiments.optimisers import SGD
from experiments.recipes.base import across_methods
from grl.schedules import Constant, InverseDecay


def moons() -> Experiment:
    """DANN from the moons to the same moons, rotated."""
    return Experiment(
        pair="moons",
        network=Moons(),
        lr=InverseDecay(lr=0.3),
        steps=1000,
        evaluate_every=100,
        log_every=10,
    )


def moons_alphas(seeds: int = 5) -> list[Experiment]:
    """A grid of 16 constant alphas between the two anchors; the whole grid is trained as one program, in seconds.

    From 0.0035 to 0.35: at 0.5 two of five seeds diverge under the large learning rate of the first steps.
    """
    grid = [Constant(value=round(0.0035 * 100 ** (place / 15), 4)) for place in range(16)]
    anchors = across_methods(moons(), seeds, ("source_only", "target_only"))
    return [
        dataclasses.replace(moons(), method=DANN(alpha=alpha), seed=seed) for alpha in grid for seed in range(seeds)
    ] + anchors


def ganin2016_figure2(seeds: int = 5) -> list[Experiment]:
    """Figure 2: 15 sigmoid units, NN (the domain classifier learns, nothing is reversed) beside DANN with lambda = 6.

    One source and one target sample a step, as in algorithm 1; learning rate 0.05 and 75,000 updates, as in the
    authors' code (500 passes over its 150 points, 250 over the 300 here). Their lambda scales the domain classifier's
    own updates, too; with lambda = 0 it would not learn at all, so NN's learns at the full rate. No accuracy is
    printed; DANN .93 here, NN .78 (five seeds, `LOG.md`).
    """
    network = dataclasses.replace(
        moons(),
        network=Shallow(hidden=15),
        lr=InverseDecay(lr=0.05, rate=0),
        optimiser=SGD(momentum=0.0),
        batch_size=2,
        steps=75_000,
        evaluate_every=7_500,
        log_every=750,
    )
    methods = (DANN(alpha=Constant(value=0.0)), DANN(alpha=Constant(value=6.0), domain_rate="alpha"))
    return across_methods(network, seeds, methods)
