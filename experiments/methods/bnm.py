"""BNM: target predictions that are sure and varied."""

from dataclasses import dataclass

from torch import Tensor

from experiments.methods.comparator import Comparator
from grl.losses.nuclear import nuclear_norm


@dataclass(frozen=True, kw_only=True)
class BNM(Comparator):
    """Cui et al. (2020), batch nuclear-norm maximisation: minus the nuclear norm of the target's predictions over N."""

    name = "bnm"
    recordable = False
    predicts = "all"

    def alignment(self, source: Tensor, target: Tensor) -> Tensor:
        return -nuclear_norm(target.softmax(1)) / len(target)
