"""The form of a validator, and what several of them compute with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.errors import BadInput
from experiments.record.names import KNOW_TARGET_LABELS

Seen = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Validator:
    """A score of one evaluation.

    Attributes:
        score: Of the arrays in `needs`; the larger the better.
        needs: Without one of these arrays there is no score.
        curve: Its name in the recorded curves.
        compares: Whether `score` takes the arrays of several evaluations, stacked, and returns a score of each.
    """

    score: Callable[..., Any]
    needs: tuple[str, ...]
    curve: str
    compares: bool = False

    def __post_init__(self) -> None:
        if known := [name for name in self.needs if name in KNOW_TARGET_LABELS]:
            raise BadInput(f"validator {self.curve} must not need {known[0]}, which knows target labels")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Class probabilities (..., C) of logits (..., C), in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """In nats, over the last axis; 0 · ln 0 = 0."""
    return -(probabilities * np.log(np.where(probabilities > 0, probabilities, 1.0))).sum(-1)
