"""A small convolution network for images of any size: what is trained where nothing else was chosen."""

from dataclasses import dataclass

from torch import nn

from experiments.errors import BadInput
from experiments.networks.base import Network


@dataclass(frozen=True, kw_only=True)
class CNN(Network):
    """Convolutions of 3 × 3 with BatchNorm and ReLU, each halving the image, then an average over parts of the rest.

    The average takes any size, so the network does, too.
    """

    name = "cnn"
    channels: tuple[int, ...] = (32, 64, 128)
    """Of each convolution."""
    positions: int = 3
    """The last feature maps are averaged down to so many rows and columns, which keeps where things are."""
    dropout: float = 0.5
    """Share of channels dropped after the last convolution; as in `mnist_modern`, adversarial training needs it."""

    def __post_init__(self) -> None:
        if not self.channels or min(self.channels) < 1:
            raise BadInput(f"network.channels must be layers of >= 1 channel, got {self.channels}")
        if self.positions < 1:
            raise BadInput(f"network.positions must be >= 1, got {self.positions}")
        if not 0 <= self.dropout < 1:
            raise BadInput(f"network.dropout must be in [0, 1), got {self.dropout}")

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if len(shape) != 3:
            raise self.refuse(shape, "images (C, H, W)")
        layers: list[nn.Module] = []
        for width, channels in zip((shape[0], *self.channels), self.channels, strict=False):
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
            layers += [nn.MaxPool2d(2, ceil_mode=True)]
        return nn.Sequential(*layers, nn.Dropout2d(self.dropout), nn.AdaptiveAvgPool2d(self.positions), nn.Flatten())

    def label_head(self, width: int, classes: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, classes))

    def domain_head(self, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 1), nn.Flatten(0))
