"""The form of a method without an adversary, beside which the adversarial ones are judged."""

from dataclasses import dataclass

from torch import Tensor

from experiments.errors import BadInput
from experiments.methods.base import BothDomains, Losses, Networks, Passed
from experiments.record.names import LABEL_LOSS
from grl.schedules import Constant, Schedule

ALIGNMENT_LOSS = "alignment_loss"
WHOLE = Constant(value=1.0)


@dataclass(frozen=True, kw_only=True)
class Comparator(BothDomains):
    """objective = label_loss + weight · alignment; nothing is reversed."""

    weight: Schedule = WHOLE
    """Weight of the alignment loss over progress."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.weight, Schedule):
            raise BadInput(f"method.weight must be a Schedule, got {self.weight!r}")

    def alignment(self, source: Tensor, target: Tensor) -> Tensor:
        """What is minimised beside the label loss, 0-d.

        Args:
            source: Features `(N, F)`, or label logits `(N, C)` of a method that predicts all.
            target: The same of the target.
        """
        raise NotImplementedError

    def losses(
        self, networks: Networks, passed: Passed, *, weight: float, started: float = 1.0, **scheduled: float
    ) -> Losses:
        count = len(passed.labels)
        label_loss = self.label_loss(passed.label_logits, passed.labels)
        compared = passed.label_logits if self.predicts == "all" else passed.features
        alignment = self.alignment(compared[:count], compared[count:])
        curves = {LABEL_LOSS: label_loss, ALIGNMENT_LOSS: alignment}
        return Losses(label_loss + started * weight * alignment, label_loss, curves)
