"""The inter-twinning moons of Ganin et al. (2016), figure 2: the target is the source rotated by 35 degrees.

    python -m experiments run moons

Two seconds a run on one core.
"""

from experiments.experiment import Experiment
from grl.schedules import Ganin, InverseDecay


def moons() -> Experiment:
    """DANN from the moons to the same moons, rotated."""
    return Experiment(
        pair="moons",
        network="moons",
        alpha=Ganin(),
        lr=InverseDecay(lr=0.1),
        steps=2000,
        batch_size=128,
        evaluate_every=100,
        log_every=10,
    )
