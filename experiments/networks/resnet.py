"""ResNets of torchvision for photographs, with the bottleneck that adversarial training puts behind them."""

import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from experiments.errors import BadInput
from experiments.networks.base import Network, Scaled, build_adversary

IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class ResNet(Network):
    """Convolutions of a ResNet, their average, and a linear bottleneck with BatchNorm.

    Long et al. (2018) and those after them train 256 features behind ResNet-50; the widths of the domain classifier are
    Ganin et al.'s (2016) for Office.
    """

    depth: ClassVar[int]
    backbone = "feature_extractor.resnet."
    weights: str = "random"
    """random; imagenet, if torchvision has downloaded it before; or the path of a state dict, by `torch.save`."""
    bottleneck: int = 256
    """Width of the features; 0 takes the average as it is."""
    domain_width: int = 1024
    """Units of both hidden layers of the domain classifier."""

    def __post_init__(self) -> None:
        for name, least in (("bottleneck", 0), ("domain_width", 1)):
            if getattr(self, name) < least:
                raise BadInput(f"network.{name} must be >= {least}, got {getattr(self, name)}")

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        if len(shape) != 3 or shape[0] != 3 or min(shape[1:]) < 32:
            raise self.refuse(shape, "colour images of at least 32 × 32, (3, H, W)")
        import torchvision.models  # a second, for those who need it

        resnet = getattr(torchvision.models, f"resnet{self.depth}")(weights=None)
        width = resnet.fc.in_features
        resnet.fc = nn.Identity()
        if self.weights != "random":
            self._load_weights(resnet, torchvision.models)
        layers: dict[str, nn.Module] = {} if self.weights == "random" else {"scaled": Scaled(*IMAGENET_STD)}
        layers["resnet"] = resnet
        if self.bottleneck:
            layers["bottleneck"] = nn.Sequential(
                nn.Linear(width, self.bottleneck), nn.BatchNorm1d(self.bottleneck), nn.ReLU()
            )
        return nn.Sequential(OrderedDict(layers))

    def domain_head(self, width: int) -> nn.Module:
        return build_adversary(width, self.domain_width)

    def _load_weights(self, resnet: nn.Module, models: object) -> None:
        path = Path(self.weights).expanduser()
        if self.weights == "imagenet":
            url = getattr(models, f"ResNet{self.depth}_Weights").DEFAULT.url
            path = Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(url)
        try:
            read = torch.load(path, map_location="cpu", weights_only=True)
            resnet.load_state_dict({name: value for name, value in read.items() if not name.startswith("fc.")})
        except Exception as error:
            reason = "there is no such file" if not path.exists() else str(error).strip().splitlines()[-1].strip()
            raise BadInput(
                f"network.weights must be random, imagenet (in torchvision's cache) or a file of weights, got "
                f"{self.weights!r}: {path}: {reason}"
            ) from None


@dataclass(frozen=True, kw_only=True)
class ResNet18(ResNet):
    """18 layers."""

    name = "resnet18"
    depth = 18


@dataclass(frozen=True, kw_only=True)
class ResNet50(ResNet):
    """50 layers."""

    name = "resnet50"
    depth = 50


@dataclass(frozen=True, kw_only=True)
class ResNet101(ResNet):
    """101 layers."""

    name = "resnet101"
    depth = 101
