"""Figure 4c of Ganin et al. (2016), for traffic signs; after Cireşan et al. (2012)."""

from dataclasses import dataclass

from torch import nn

from experiments.networks.base import Network


@dataclass(frozen=True, kw_only=True)
class GtsrbPaper(Network):
    """Three convolutions without padding, as printed: 40 -> 36 -> 18 -> 16 -> 8 -> 4 -> 2, 256 * 2 * 2 features."""

    name = "gtsrb_paper"

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if len(shape) != 3 or min(shape[1:]) < 32:
            raise self.refuse(shape, "images of at least 32 × 32, (C, H, W)")
        return nn.Sequential(
            nn.Conv2d(shape[0], 96, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(96, 144, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(144, 256, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
        )  # fmt: skip

    def label_head(self, width: int, classes: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, 512), nn.ReLU(), nn.Linear(512, classes))

    def domain_head(self, width: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(width, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 1), nn.Flatten(0)
        )  # fmt: skip
