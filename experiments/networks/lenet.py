"""The digit networks of the CDAN and SHOT family (Long et al. 2018, Liang et al. 2020): LeNet and DTN.

Both end in one wide layer, whose units are the features, and a linear label head; the domain classifier has two layers
of 500 units with Dropout.
"""

import math
from dataclasses import dataclass

from torch import nn

from experiments.errors import BadInput
from experiments.networks.base import Network, Scaled, build_adversary


@dataclass(frozen=True, kw_only=True)
class ScaledDigits(Network):
    """What the two share."""

    spread: float = 0.5
    """What inputs less their mean are divided by; the papers subtract 0.5 and divide by 0.5."""

    def __post_init__(self) -> None:
        if not 0 < self.spread < math.inf:
            raise BadInput(f"network.spread must be finite and > 0, got {self.spread}")

    def domain_head(self, width: int) -> nn.Module:
        return build_adversary(width, 500)


@dataclass(frozen=True, kw_only=True)
class LeNet(ScaledDigits):
    """For MNIST and USPS: 20 and 50 convolutions of 5 × 5, then 500 units."""

    name = "lenet"

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if len(shape) != 3 or min(shape[1:]) < 16:
            raise self.refuse(shape, "images of at least 16 × 16, (C, H, W)")
        return nn.Sequential(
            Scaled(self.spread),
            nn.Conv2d(shape[0], 20, 5), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(20, 50, 5), nn.Dropout2d(0.5), nn.MaxPool2d(2), nn.ReLU(),
            nn.Flatten(),
            nn.Linear(50 * _after_lenet(shape[1]) * _after_lenet(shape[2]), 500), nn.ReLU(), nn.Dropout(0.5),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DTN(ScaledDigits):
    """For SVHN and MNIST of 32 × 32: convolutions of 5 × 5 that halve the image, 64, 128 and 256, then 512 units."""

    name = "dtn"

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if len(shape) != 3:
            raise self.refuse(shape, "images (C, H, W)")
        layers: list[nn.Module] = [Scaled(self.spread)]
        for before, channels, dropped in ((shape[0], 64, 0.1), (64, 128, 0.3), (128, 256, 0.5)):
            layers += [nn.Conv2d(before, channels, 5, stride=2, padding=2), nn.BatchNorm2d(channels)]
            layers += [nn.Dropout2d(dropped), nn.ReLU()]
        height, width = (-(-size // 8) for size in shape[1:])
        wide = [nn.Linear(256 * height * width, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.5)]
        return nn.Sequential(*layers, nn.Flatten(), *wide)


def _after_lenet(size: int) -> int:
    # Twice a convolution of 5 without padding and a pooling that halves.
    return ((size - 4) // 2 - 4) // 2
