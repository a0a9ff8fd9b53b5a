"""Agreement with the ensemble of all candidates."""

import numpy as np

from experiments.record.names import TARGET_LOGITS
from experiments.validators.base import Validator, softmax


def ensemble_agreement(target_logits: np.ndarray) -> np.ndarray:
    """Share of samples on which each candidate predicts what the mean of all candidates' probabilities does.

    The candidates may be the evaluations of a run or the runs of a search. Hu et al. (2023).

    Args:
        target_logits: (K, n, C) of K candidates on the same n samples.

    Returns:
        (K,), in [0, 1].
    """
    ensemble = softmax(target_logits).mean(0).argmax(1)
    return (target_logits.argmax(2) == ensemble).mean(1)


ENSV = Validator(ensemble_agreement, (TARGET_LOGITS,), "ensv", compares=True)
