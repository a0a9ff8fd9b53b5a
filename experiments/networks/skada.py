"""The digit network of skada-bench, which has it from PyTorch's first example."""

from dataclasses import dataclass

from torch import nn

from experiments.networks.base import Scaled, build_adversary
from experiments.networks.lenet import ScaledDigits


@dataclass(frozen=True, kw_only=True)
class SkadaDigits(ScaledDigits):
    """For MNIST and USPS: 32 and 64 convolutions of 3 × 3, one pooling, 128 features; linear label head."""

    name = "skada_digits"
    spread: float = 0.3081
    """What inputs are divided by: the spread of MNIST; there each domain is divided by its own."""

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if len(shape) != 3 or min(shape[1:]) < 6:
            raise self.refuse(shape, "images of at least 6 × 6, (C, H, W)")
        height, width = ((size - 4) // 2 for size in shape[1:])
        return nn.Sequential(
            Scaled(self.spread),
            nn.Conv2d(shape[0], 32, 3), nn.ReLU(),
            nn.Conv2d(32, 64, 3), nn.ReLU(),
            nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
            nn.Linear(64 * height * width, 128), nn.ReLU(), nn.Dropout(0.5),
        )  # fmt: skip

    def domain_head(self, width: int) -> nn.Module:
        return build_adversary(width, 1024)
