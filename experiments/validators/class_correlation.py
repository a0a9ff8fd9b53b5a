"""Which classes are predicted together."""

import numpy as np

from experiments.record.names import TARGET_LOGITS
from experiments.validators.base import Validator, softmax


def class_correlation(target_logits: np.ndarray) -> float:
    """Minus Corr-C, -tr(PᵀP) / |PᵀP|, in [-√C, -1]: high when the same classes are predicted together.

    Tu et al. (2023), where the lower the better: the cosine of the class correlation with the identity, times √C.
    """
    probabilities = softmax(target_logits)
    correlation = probabilities.T @ probabilities
    return float(-np.trace(correlation) / np.linalg.norm(correlation))


CLASS_CORRELATION = Validator(class_correlation, (TARGET_LOGITS,), "class_correlation")
