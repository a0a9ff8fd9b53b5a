"""MNIST and USPS under two protocols, with every deep method.

    GRL_DATA=... python -m experiments run mnist_usps          # LeNet, as the CDAN authors train
    GRL_DATA=... python -m experiments run mnist_usps_cdan     # as in their command: CDAN, five times as long
    GRL_DATA=... python -m experiments run mnist_usps_skada    # the network of skada-bench

`mnist_usps` is the protocol of Long et al. (2018), as their script has it by default: LeNet on grey 28 × 28 (USPS
enlarged), inputs divided by 0.5, SGD with momentum 0.9 and weight decay 0.0005, learning rate 0.01 halved on the way,
batches of 64 + 64, ten passes over MNIST of which the first trains on labels alone, then alpha 2 / (1 + exp(-i / 1000))
- 1 at step i, the adversary's loss once. CDAN projects the outer product of 5,000 numbers, as the paper says, and holds
the weights of CDAN+E fixed. Not as theirs: the mean is subtracted where they subtract 0.5; a second halving in the last
pass of MNIST → USPS, the constant learning rate of their domain classifier and its Xavier initialisation are left out.

`mnist_usps_cdan` is the command that they print for their tables: fifty passes, the rate halved at every fifth (USPS →
MNIST sixth), the outer product as it is, and CDAN+E whose weights pass a gradient on.

`mnist_usps_skada` is that of skada-bench (Lalou et al. 2025): USPS in a black frame, SGD at a constant 0.1 with
momentum 0.6 and weight decay 0.00001, batches of 256 + 256, ten passes; DANN and what else has a critic at 0.01 with
momentum 0.9. The reversal is constant at 1. Of its grids of weights 1 is taken, or what is next below; for DANN it
multiplies a sum of two domain means (`domain_weight` 2). It trains on four fifths of the training samples and tests on
the others; here the test splits of the domains are used. MCC's temperature is 2.5, in its grid 1, 2 or 3. CDAN, MCD,
DALN and BNM are not in it: they follow DANN, or CORAL.
"""

import dataclasses

from experiments.experiment import Experiment
from experiments.methods import Method
from experiments.methods.anchors import SourceOnly, TargetOnly
from experiments.methods.bnm import BNM
from experiments.methods.cdan import CDAN
from experiments.methods.coral import CORAL
from experiments.methods.daln import DALN
from experiments.methods.dann import DANN
from experiments.methods.mcc import MCC
from experiments.methods.mcd import MCD
from experiments.methods.mdd import MDD
from experiments.methods.mmd import MMD
from experiments.networks.lenet import LeNet
from experiments.networks.skada import SkadaDigits
from experiments.optimisers import SGD
from experiments.recipes.base import across_methods
from grl.presets import CDAN as RAMP
from grl.schedules import Constant, InverseDecay, Staircase, Step

PASS = 940  # steps of 64 over the 60,000 images of MNIST, to a multiple of ten


def mnist_to_usps() -> Experiment:
    """DANN, the LeNet of the CDAN family."""
    return Experiment(
        pair="mnist_to_usps",
        method=DANN(alpha=RAMP, domain_weight=1.0, warm_up=PASS),
        network=LeNet(),
        lr=Step(at=0.4, before=0.01, after=0.005),
        optimiser=SGD(weight_decay=0.0005),
        steps=10 * PASS,
        batch_size=128,
        evaluate_every=PASS,
        log_every=PASS // 10,
    )


def usps_to_mnist() -> Experiment:
    """The same the other way; the learning rate is halved later."""
    return dataclasses.replace(mnist_to_usps(), pair="usps_to_mnist", lr=Step(at=0.5, before=0.01, after=0.005))


def mnist_usps(seeds: int = 5) -> list[Experiment]:
    """Both directions, every deep method.

    Measured (n = 5), MNIST → USPS and USPS → MNIST: source only .809 ± .007 and .701 ± .046, DANN .883 and
    .956, CDAN .923 and .948, CDAN+E .919 and .938, MCC .942 and .924, DALN .914 and .927, BNM .902 and .937,
    MCD .871 and .844, MMD .841 and .799, CORAL .815 and .731, target only .968 and .993; MDD diverges in every
    seed. 15 to 45 seconds a run on an H200, DALN and BNM one to four minutes; nine minutes on each of two busy cores.
    """
    reversed_ = {"alpha": RAMP, "domain_weight": 1.0, "warm_up": PASS}
    methods = (
        SourceOnly(), TargetOnly(), DANN(**reversed_), CDAN(**reversed_), CDAN(**reversed_, entropy=True),
        MDD(warm_up=PASS), MCD(**reversed_), DALN(**reversed_), CORAL(warm_up=PASS), MMD(warm_up=PASS),
        MCC(warm_up=PASS), BNM(warm_up=PASS),
    )  # fmt: skip
    return [run for recipe in (mnist_to_usps(), usps_to_mnist()) for run in across_methods(recipe, seeds, methods)]


def mnist_usps_cdan(seeds: int = 5) -> list[Experiment]:
    """Both directions as in the authors' command: anchors, DANN, CDAN and CDAN+E, fifty passes.

    Not measured yet. Of ten passes (seed 0) CDAN+E has .943 on MNIST → USPS, and without the weights' gradient .941 and
    .967 on USPS → MNIST; projected, as in `mnist_usps`, .923 and .949. The paper has .956 and .980.
    """
    reversed_ = {"alpha": RAMP, "domain_weight": 1.0, "warm_up": PASS}
    methods = (
        SourceOnly(), TargetOnly(), DANN(**reversed_), CDAN(**reversed_, limit=5000),
        CDAN(**reversed_, limit=5000, entropy=True, entropy_gradient=True),
    )  # fmt: skip
    long = {"steps": 50 * PASS, "evaluate_every": 5 * PASS, "log_every": PASS // 2}
    recipes = (
        dataclasses.replace(mnist_to_usps(), lr=Staircase(start=0.01, first=4 / 50, every=5 / 50), **long),
        dataclasses.replace(usps_to_mnist(), lr=Staircase(start=0.01, first=5 / 50, every=6 / 50), **long),
    )
    return [run for recipe in recipes for run in across_methods(recipe, seeds, methods)]


def mnist_to_usps_skada() -> Experiment:
    """DANN, the network of skada-bench."""
    return Experiment(
        pair="mnist_to_usps_padded",
        method=DANN(alpha=Constant(value=1.0)),
        network=SkadaDigits(),
        lr=InverseDecay(lr=0.01, rate=0),
        optimiser=SGD(momentum=0.9, weight_decay=1e-5),
        steps=2340,
        batch_size=512,
        evaluate_every=234,
        log_every=39,
    )


def usps_to_mnist_skada() -> Experiment:
    """The same the other way."""
    return dataclasses.replace(mnist_to_usps_skada(), pair="usps_padded_to_mnist")


def mnist_usps_skada(seeds: int = 5) -> list[Experiment]:
    """Both directions, every deep method.

    Measured, one to three seeds of most: see `LOG.md`. 20 to 60 seconds a run on an H200.
    """
    one = Constant(value=1.0)
    adversarial: tuple[Method, ...] = (
        DANN(alpha=one), CDAN(alpha=one), CDAN(alpha=one, entropy=True),
        MDD(alpha=one, domain_weight=0.1, margin=3.0), MCD(alpha=one), DALN(alpha=one),
    )  # fmt: skip
    others = (SourceOnly(), TargetOnly(), CORAL(), MMD(), MCC(), BNM())
    return [
        run
        for recipe in (mnist_to_usps_skada(), usps_to_mnist_skada())
        for run in (
            *across_methods(recipe, seeds, adversarial),
            *across_methods(
                dataclasses.replace(
                    recipe, lr=InverseDecay(lr=0.1, rate=0), optimiser=SGD(momentum=0.6, weight_decay=1e-5)
                ),
                seeds,
                others,
            ),
        )
    ]
