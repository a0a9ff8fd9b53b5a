"""The digit networks of the CDAN and SHOT family (Long et al. 2018, Liang et al. 2020): LeNet and DTN.

Both end in one wide layer, whose units are the features, and a linear label head; the domain classifier has two layers
of 500 units with Dropout.
"""

from dataclasses import dataclass

from torch import nn

from experiments.networks.base import Network


@dataclass(frozen=True, kw_only=True)
class LeNet(Network):
    """For MNIST and USPS: 20 and 50 convolutions of 5 × 5, then 500 units."""

    name = "lenet"

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if len(shape) != 3 or min(shape[1:]) < 16:
            raise self.refuse(shape, "images of at least 16 × 16, (C, H, W)")
        return nn.Sequential(
            nn.Conv2d(shape[0], 20, 5), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(20, 50, 5), nn.Dropout2d(0.5), nn.MaxPool2d(2), nn.ReLU(),
            nn.Flatten(),
            nn.Linear(50 * _after_lenet(shape[1]) * _after_lenet(shape[2]), 500), nn.ReLU(), nn.Dropout(0.5),
        )  # fmt: skip

    def domain_head(self, width: int) -> nn.Module:
        return _adversary(width)


@dataclass(frozen=True, kw_only=True)
class DTN(Network):
    """For SVHN and MNIST of 32 × 32: convolutions of 5 × 5 that halve the image, 64, 128 and 256, then 512 units."""

    name = "dtn"

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if len(shape) != 3:
            raise self.refuse(shape, "images (C, H, W)")
        layers: list[nn.Module] = []
        for before, channels, dropped in ((shape[0], 64, 0.1), (64, 128, 0.3), (128, 256, 0.5)):
            layers += [nn.Conv2d(before, channels, 5, stride=2, padding=2), nn.BatchNorm2d(channels)]
            layers += [nn.Dropout2d(dropped), nn.ReLU()]
        height, width = (-(-size // 8) for size in shape[1:])
        wide = [nn.Linear(256 * height * width, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.5)]
        return nn.Sequential(*layers, nn.Flatten(), *wide)

    def domain_head(self, width: int) -> nn.Module:
        return _adversary(width)


def _after_lenet(size: int) -> int:
    # Twice a convolution of 5 without padding and a pooling that halves.
    return ((size - 4) // 2 - 4) // 2


def _adversary(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(width, 500), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(500, 500), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(500, 1), nn.Flatten(0),
    )  # fmt: skip
