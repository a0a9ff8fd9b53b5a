"""Figure 4a of Ganin et al. (2016), after LeNet-5: as printed, and with what makes it train well."""

from dataclasses import dataclass

from torch import nn

from experiments.errors import BadInput
from experiments.networks.base import Network


@dataclass(frozen=True, kw_only=True)
class MnistPaper(Network):
    """The printed network. It prints no padding: 28 -> 24 -> 12 -> 8 -> 4, 48 * 4 * 4 = 768 features (32: 1,200)."""

    name = "mnist_paper"

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if shape not in ((3, 28, 28), (3, 32, 32)):
            raise self.refuse(shape, "colour images of 28 × 28 or 32 × 32, (3, 28, 28) or (3, 32, 32)")
        return nn.Sequential(
            nn.Conv2d(3, 32, 5), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(32, 48, 5), nn.MaxPool2d(2), nn.ReLU(),
            nn.Flatten(),
        )  # fmt: skip

    def label_head(self, width: int, classes: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(width, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, classes)
        )  # fmt: skip

    def domain_head(self, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, 100), nn.ReLU(), nn.Linear(100, 1), nn.Flatten(0))


@dataclass(frozen=True, kw_only=True)
class MnistModern(MnistPaper):
    """The same with BatchNorm after both convolutions and Dropout2d after the second."""

    name = "mnist_modern"
    dropout: float = 0.5
    """Share of channels dropped after the second convolution."""

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise BadInput(f"network.dropout must be in [0, 1), got {self.dropout}")

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        conv1, pool1, relu1, conv2, pool2, relu2, flatten = super().feature_extractor(shape).children()
        return nn.Sequential(
            conv1, nn.BatchNorm2d(32), pool1, relu1,
            conv2, nn.BatchNorm2d(48), nn.Dropout2d(self.dropout), pool2, relu2,
            flatten,
        )  # fmt: skip
