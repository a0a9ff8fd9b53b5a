"""The form of a method without steps: a solver fits the last layer to what enters it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from datasets import DomainPair
from experiments.errors import BadInput
from experiments.methods.base import Method

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Fitted(Method):
    """Everything in front of the last layer stays as it is: no network at all, or one that another method trained."""

    together = False
    after: Method | None = None
    """The method whose run is taken up: its networks but for the last layer. None fits raw inputs, with network raw."""
    c: float = 1.0
    """Weight of the loss against the norm of the weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_smoothing:
            raise BadInput(f"method.label_smoothing must be 0 of a method without steps, got {self.label_smoothing}")
        if isinstance(self.after, Fitted) or not (self.after is None or isinstance(self.after, Method)):
            raise BadInput(f"method.after must be a method that trains by steps, got {self.after!r}")
        if self.after and self.after.reads == "target labels":
            raise BadInput(f"method.after must not read target labels, got {self.after!r}")
        if getattr(self.after, "batch_norm", "") == "domain_specific":
            raise BadInput("method.after.batch_norm must be joint or separate, got domain_specific")
        if not 0 < self.c < float("inf"):
            raise BadInput(f"method.c must be finite and > 0, got {self.c}")

    @property
    def version(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """2 behind another method: inputs are centred as its networks were trained."""
        return 2 if self.after else 1

    def mean_of_inputs(self, pair: DomainPair) -> Tensor:
        return self.after.mean_of_inputs(pair) if self.after else super().mean_of_inputs(pair)

    def prepare(self, source: Floats, target: Floats | None) -> Any:
        """What fits on the same inputs share, whatever their labels and their fields.

        Args:
            source: What enters the last layer, `(N, F)`.
            target: The same of the target `(M, F)`; None for a method that reads the source alone.
        """
        raise NotImplementedError

    def fit(self, prepared: Any, labels: NDArray[np.int64], classes: int) -> tuple[Floats, Floats]:
        """Fit a linear classifier to labels `(N,)` of the source, in 0 … classes - 1.

        Returns:
            Weights `(classes, F)` and biases `(classes,)`.
        """
        raise NotImplementedError
