"""How sure target predictions are, and whether they use all classes."""

import numpy as np

from experiments.record.names import TARGET_LOGITS
from experiments.validators.base import Validator, entropy, softmax


def negative_entropy(target_logits: np.ndarray) -> float:
    """Minus the mean entropy of the predictions, in nats, in [-ln C, 0]: high when predictions are sure."""
    return float(-entropy(softmax(target_logits)).mean())


def information_maximisation(target_logits: np.ndarray) -> float:
    """H(mean p) - mean H(p), in nats, in [0, ln C]: high when predictions are sure and use all classes.

    Krause et al. (2010); as a validator, Musgrave et al. (2022).
    """
    probabilities = softmax(target_logits)
    return float(entropy(probabilities.mean(0)) - entropy(probabilities).mean())


NEGATIVE_ENTROPY = Validator(negative_entropy, (TARGET_LOGITS,), "negative_entropy")
INFORMATION_MAXIMISATION = Validator(information_maximisation, (TARGET_LOGITS,), "information_maximisation")
