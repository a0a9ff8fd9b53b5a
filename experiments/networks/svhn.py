"""Figure 4b of Ganin et al. (2016), for house numbers; after Srivastava et al. (2014)."""

from dataclasses import dataclass

from torch import nn

from experiments.errors import BadInput
from experiments.networks.base import Network


@dataclass(frozen=True, kw_only=True)
class SvhnPaper(Network):
    """Three convolutions of 5 × 5, label head of 3,072 and 2,048 units, domain classifier of 1,024 and 1,024.

    The paper's restriction of the norms of weights is left out: it gives no value for it.
    """

    name = "svhn_paper"
    padding: int = 2
    """Of the convolutions; the figure shows none, but without one nothing of 32 × 32 is left for the third."""
    dropout: float = 0.5
    """Share of units dropped behind each hidden layer of the label head; the paper says that it drops, not how many."""

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise BadInput(f"network.padding must be >= 0, got {self.padding}")
        if not 0 <= self.dropout < 1:
            raise BadInput(f"network.dropout must be in [0, 1), got {self.dropout}")

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if len(shape) != 3 or min(shape[1:]) < 28:
            raise self.refuse(shape, "images of at least 28 × 28, (C, H, W)")
        return nn.Sequential(
            nn.Conv2d(shape[0], 64, 5, padding=self.padding), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 64, 5, padding=self.padding), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 128, 5, padding=self.padding), nn.ReLU(),
            nn.Flatten(),
        )  # fmt: skip

    def label_head(self, width: int, classes: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(width, 3072), nn.ReLU(), nn.Dropout(self.dropout),
            nn.Linear(3072, 2048), nn.ReLU(), nn.Dropout(self.dropout),
            nn.Linear(2048, classes),
        )  # fmt: skip

    def domain_head(self, width: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(width, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 1), nn.Flatten(0)
        )  # fmt: skip
