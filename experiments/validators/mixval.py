"""Whether a mixture of two target inputs is predicted as the larger part of it is."""

import numpy as np

from experiments.record.names import MIXED_LOGITS, TARGET_LOGITS
from experiments.validators.base import Validator


def mixval(target_logits: np.ndarray, mixed_logits: np.ndarray) -> float:
    """Share of mixed inputs with the predicted class of their larger part, in [0, 1].

    The mean of two shares, of pairs predicted alike and of pairs predicted unlike; of one where the others are missing.
    Hu et al. (2023), who rank a pool of models by either share and average the ranks.

    Args:
        target_logits: (n, C).
        mixed_logits: (n - n // 2, C), row i of inputs i and i + n // 2, the first the larger.
    """
    predicted, half = target_logits.argmax(1), len(target_logits) // 2
    first, second = predicted[: len(mixed_logits)], predicted[half:]
    kept, alike = mixed_logits.argmax(1) == first, first == second
    return float(np.mean([kept[pairs].mean() for pairs in (alike, ~alike) if pairs.any()]))


MIXVAL = Validator(mixval, (TARGET_LOGITS, MIXED_LOGITS), "mixval")
