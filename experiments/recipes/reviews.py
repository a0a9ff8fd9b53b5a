"""Product reviews under the shallow recipe of Ganin et al. (2016), section 5.1.

    GRL_DATA=... python -m experiments run books_to_dvd

The recipe: one hidden layer of 50 sigmoid units (the paper tried 50 and 100) on raw counts of 5,000 words and word
pairs, a fixed learning rate of 0.001, plain SGD on one source and one target review at a time. The paper's most
frequent choice among nine alphas from 0.01 to 1 was 0.31. Three things are the deep recipe's here: the mean is
subtracted, the domain classifier learns at the full rate, and the length is fixed (30 passes over the 2,000 reviews)
where the paper stops early.
"""

from experiments.experiment import Experiment
from experiments.methods.dann import DANN
from experiments.networks.shallow import Shallow
from experiments.optimisers import SGD
from grl.schedules import Constant, InverseDecay


def books_to_dvd() -> Experiment:
    """The shallow network on reviews of books and of DVDs."""
    return Experiment(
        pair="amazon_books_to_amazon_dvd",
        method=DANN(alpha=Constant(value=0.31)),
        network=Shallow(),
        lr=InverseDecay(lr=0.001, rate=0),
        optimiser=SGD(momentum=0.0),
        steps=60_000,
        batch_size=2,
        evaluate_every=6_000,
        log_every=600,
    )
