"""Accuracy on source samples that are neither trained on nor reported."""

import numpy as np

from experiments.record.names import SOURCE_LABELS, SOURCE_LOGITS
from experiments.validators.base import Validator


def source_accuracy(source_logits: np.ndarray, source_labels: np.ndarray) -> float:
    """Share of held-out source samples whose largest logit is right, in [0, 1]."""
    return float((source_logits.argmax(1) == source_labels).mean())


SOURCE_ACCURACY = Validator(source_accuracy, (SOURCE_LOGITS, SOURCE_LABELS), "source_validation_accuracy")
