"""No network: the features are the inputs themselves."""

from dataclasses import dataclass

from torch import nn

from experiments.networks.base import Network


@dataclass(frozen=True, kw_only=True)
class Raw(Network):
    """The inputs, flat: what the shallow methods are fitted on."""

    name = "raw"

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        return nn.Flatten()
