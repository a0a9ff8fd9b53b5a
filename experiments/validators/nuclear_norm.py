"""Sureness and variety of target predictions in one number."""

import numpy as np

from experiments.record.names import TARGET_LOGITS
from experiments.validators.base import Validator, softmax


def nuclear_norm(target_logits: np.ndarray) -> float:
    """Sum of the singular values of the predictions (N, C) over N: high when they are sure and varied.

    Batch nuclear-norm maximisation, Cui et al. (2020).
    """
    probabilities = softmax(target_logits)
    # Of the small Gram matrix (C, C): its eigenvalues are the squares of the singular values.
    squares = np.linalg.eigvalsh(probabilities.T @ probabilities)
    return float(np.sqrt(np.maximum(squares, 0)).sum() / len(probabilities))


NUCLEAR_NORM = Validator(nuclear_norm, (TARGET_LOGITS,), "nuclear_norm")
