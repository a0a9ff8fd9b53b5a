"""The catalogue of methods. A method of a user's own needs no line here: a recipe names its class."""

from experiments.methods.anchors import SourceOnly, TargetOnly
from experiments.methods.base import (
    Adversarial,
    BothDomains,
    Losses,
    Method,
    Passed,
    Reads,
    divide_target,
    mean_of_training,
    open_splits,
)  # fmt: skip
from experiments.methods.bnm import BNM
from experiments.methods.cdan import CDAN
from experiments.methods.coral import CORAL
from experiments.methods.daln import DALN
from experiments.methods.dann import DANN
from experiments.methods.mcc import MCC
from experiments.methods.mcd import MCD
from experiments.methods.mdd import MDD
from experiments.methods.mmd import MMD
from experiments.methods.sa import SA
from experiments.methods.svm import SVM

METHODS: dict[str, type[Method]] = {
    each.name: each for each in (SourceOnly, TargetOnly, DANN, CDAN, MDD, MCD, DALN, CORAL, MMD, MCC, BNM, SVM, SA)
}

__all__ = [
    "METHODS", "Adversarial", "BothDomains", "Losses", "Method", "Passed", "Reads", "divide_target", "mean_of_training",
    "open_splits",
]  # fmt: skip
