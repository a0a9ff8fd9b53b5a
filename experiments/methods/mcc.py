"""MCC: target predictions that confuse few classes."""

import math
from dataclasses import dataclass

from torch import Tensor

from experiments.errors import BadInput
from experiments.methods.comparator import Comparator


@dataclass(frozen=True, kw_only=True)
class MCC(Comparator):
    """Jin et al. (2020), minimum class confusion: the off-diagonal share of the target's class correlation.

    P = softmax(logits / temperature), w = 1 + exp(-H) scaled to a mean of 1 and held fixed, C = Pᵀ diag(w) P with rows
    that sum to 1; loss = (sum C - tr C) / classes.
    """

    name = "mcc"
    predicts = "all"
    temperature: float = 2.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise BadInput(f"method.temperature must be finite and > 0, got {self.temperature}")

    def alignment(self, source: Tensor, target: Tensor) -> Tensor:
        log_p = (target / self.temperature).log_softmax(1)
        p = log_p.exp()
        weights = 1 + (p * log_p).sum(1).exp().detach()
        correlation = p.T @ (p * (weights / weights.mean()).unsqueeze(1))
        correlation = correlation / correlation.sum(1, keepdim=True)
        # Not trace(), whose gradient waits for the device: a CUDA graph that is being recorded breaks at it.
        return (correlation.sum() - correlation.diagonal().sum()) / len(correlation)
