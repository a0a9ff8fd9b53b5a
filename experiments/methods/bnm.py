"""BNM: target predictions that are sure and varied."""

from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.methods.comparator import Comparator


@dataclass(frozen=True, kw_only=True)
class BNM(Comparator):
    """Cui et al. (2020), batch nuclear-norm maximisation: minus the nuclear norm of the target's predictions over N."""

    name = "bnm"
    recordable = False
    predicts = "all"

    def alignment(self, source: Tensor, target: Tensor) -> Tensor:
        return -torch.linalg.svdvals(target.softmax(1)).sum() / len(target)
