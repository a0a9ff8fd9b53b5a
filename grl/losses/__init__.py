"""Adversarial losses whose adversary sees the features through the reversal.

Each is a pure function of networks and tensors and returns an `AdversarialLoss`: the scalar to add to the label loss.
"""

from grl.losses.adversarial import AdversarialLoss
from grl.losses.attribute import attribute_adversarial_loss
from grl.losses.classifier import classifier_discrepancy_loss
from grl.losses.conditional import (
    MultilinearMap,
    RandomisedMultilinearMap,
    build_multilinear_map,
    conditional_domain_loss,
)
from grl.losses.domain import domain_adversarial_loss, domain_loss
from grl.losses.margin import margin_disparity_loss
from grl.losses.nuclear import nuclear_discrepancy_loss
from grl.losses.several import AdversarialLosses, several_adversarial_losses

__all__ = [
    "AdversarialLoss",
    "AdversarialLosses",
    "MultilinearMap",
    "RandomisedMultilinearMap",
    "attribute_adversarial_loss",
    "build_multilinear_map",
    "classifier_discrepancy_loss",
    "conditional_domain_loss",
    "domain_adversarial_loss",
    "domain_loss",
    "margin_disparity_loss",
    "nuclear_discrepancy_loss",
    "several_adversarial_losses",
]
