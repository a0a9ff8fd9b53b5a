"""The form of a network: a feature extractor, and the heads that stand on its features.

A network is a frozen dataclass whose fields are what its paper leaves open. It fits itself to a pair: it is told the
shape of an input and the number of classes. All heads return logits. Weights are PyTorch's defaults, drawn from a
random stream per part, so that the extractor starts from the same weights whatever the method.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from experiments.errors import BadInput
from experiments.randomness import derive_seed

Build = Callable[[], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Network:
    """How to build the parts of a network for inputs of one shape.

    Attributes:
        name: as in `--network NAME`.
        version: raise it when a change of the code changes the numbers; it is part of a run's hash.
        together: how many runs are trained as one program at most (`training.together`): where
            `tests.benchmarks.together` found the largest gain; 1 where there is none. More than 1 for networks without
            BatchNorm and Dropout alone.
        first_layer: name of the weight of a linear layer that every input enters first, which `training.blocks` makes
            faster; empty where there is none.
        backbone: what the names of the weights begin with that learn at the plain rate; the others learn at
            `optimiser.head_rate` times that.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    together: ClassVar[int] = 1
    first_layer: ClassVar[str] = ""
    backbone: ClassVar[str] = "feature_extractor."

    def feature_extractor(self, shape: tuple[int, ...]) -> nn.Module:
        """Inputs `(N, *shape)`, images with the channels first, to features `(N, F)`.

        Raises:
            BadInput: it cannot take inputs of this shape.
        """
        raise NotImplementedError

    def label_head(self, width: int, classes: int) -> nn.Module:
        """Features `(N, width)` to label logits `(N, classes)`."""
        return nn.Linear(width, classes)

    def domain_head(self, width: int) -> nn.Module:
        """What stands behind the reversal: `(N, width)` to domain logits `(N,)`."""
        return nn.Sequential(nn.Linear(width, 1), nn.Flatten(0))

    def refuse(self, shape: tuple[int, ...], takes: str) -> BadInput:
        """The error for inputs of a shape that it cannot take."""
        return BadInput(f"network {self.name} takes {takes}, got inputs of shape {shape}")


class Scaled(nn.Module):
    """Images over a spread, one for all channels or one each: they arrive in [0, 1] less their mean."""

    spread: Tensor

    def __init__(self, *spread: float) -> None:
        super().__init__()
        self.register_buffer("spread", torch.tensor(spread).view(-1, 1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs / self.spread


def build_adversary(width: int, hidden: int) -> nn.Module:
    """The usual domain classifier: two layers of ReLU units with Dropout, to logits `(N,)`."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(hidden, 1), nn.Flatten(0),
    )  # fmt: skip


class DomainBatchNorm(nn.Module):
    """BatchNorm with averages, scale and shift of each domain's own; Chang et al., CVPR 2019.

    Attributes:
        domain: whose are in use, source 0 or target 1; between steps the target's.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.each = nn.ModuleList([layer, copy.deepcopy(layer)])
        self.domain = 1

    def forward(self, inputs: Tensor) -> Tensor:
        return self.each[self.domain](inputs)

    @staticmethod
    def divide(module: nn.Module) -> None:
        """Put one in the place of every BatchNorm within `module`."""
        for name, layer in list(module.named_children()):
            if isinstance(layer, _BatchNorm):
                setattr(module, name, DomainBatchNorm(layer))
            else:
                DomainBatchNorm.divide(layer)

    @staticmethod
    def enter(module: nn.Module, domain: int) -> None:
        """Let all within `module` be those of a domain."""
        for layer in module.modules():
            if isinstance(layer, DomainBatchNorm):
                layer.domain = domain


class Several(nn.Module):
    """A domain classifier of several domains: one for each, side by side, to logits `(N, K)`."""

    def __init__(self, heads: Sequence[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, features: Tensor) -> Tensor:
        return torch.stack([head(features).flatten() for head in self.heads], 1)


class Networks(nn.Module):
    """The networks of one run: extractor, label predictor, and the method's own heads by name."""

    def __init__(self, feature_extractor: nn.Module, label_predictor: nn.Module, heads: Mapping[str, nn.Module]):
        super().__init__()
        self.feature_extractor = feature_extractor
        self.label_predictor = label_predictor
        self.heads = nn.ModuleDict(heads)

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, F) and label logits (N, C) of inputs (N, ...)."""
        features = self.feature_extractor(inputs)
        return features, self.label_predictor(features)

    @property
    def last_layer(self) -> str | None:
        """The weight that turns what is before it into label logits: one row a class; None where there is none."""
        linear = [name for name, part in self.named_modules() if isinstance(part, nn.Linear)]
        of_label = [name for name in linear if name.split(".")[0] == "label_predictor"]
        return f"{of_label[-1]}.weight" if of_label else None


def build_networks(
    network: Network,
    heads: Callable[[Network, int, int], Mapping[str, Build]],
    *,
    shape: tuple[int, ...],
    classes: int,
    seed: int,
    domains: int = 2,
) -> Networks:
    """Build networks with seeded weights, leaving the global random state as it was.

    Args:
        network: What they are.
        heads: `Method.heads`: of the network, the width of the features and the number of classes.
        shape: Of one input, images with the channels first.
        classes: How many label logits.
        seed: Of the run.
        domains: Of more than two, a head called domain_classifier has a logit for each (`Several`).

    Raises:
        BadInput: The network cannot take these inputs, or returns no features `(N, F)`.
    """

    def draw(part: str, build: Build) -> nn.Module:
        torch.manual_seed(derive_seed(seed, f"init/{part}"))
        return build()

    with torch.random.fork_rng(devices=[]):
        extractor = draw("feature_extractor", lambda: network.feature_extractor(shape))
        width = _measure_width(network, extractor, shape)
        predictor = draw("label_predictor", lambda: network.label_head(width, classes))
        built = {
            name: draw(name, lambda build=build: Several([build() for _ in range(domains)]))
            if name == "domain_classifier" and domains > 2
            else draw(name, build)
            for name, build in heads(network, width, classes).items()
        }
    networks = Networks(extractor, predictor, built)
    return networks.to(memory_format=torch.channels_last) if len(shape) == 3 else networks


@torch.no_grad()
def _measure_width(network: Network, extractor: nn.Module, shape: tuple[int, ...]) -> int:
    if not isinstance(extractor, nn.Module):
        raise BadInput(f"network {network.name} must build a torch.nn.Module as its extractor, got {extractor!r}")
    mode = extractor.training
    try:
        features = extractor.eval()(torch.zeros(2, *shape))
    except (RuntimeError, ValueError, IndexError) as error:  # what torch raises for shapes that do not fit
        reason = str(error).splitlines()[0]
        raise BadInput(f"network {network.name} cannot take inputs of shape {shape}: {reason}") from None
    finally:
        extractor.train(mode)
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != 2:
        got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise BadInput(f"network {network.name} must return features (N, F), got {got} for 2 inputs of shape {shape}")
    return features.shape[1]


@torch.no_grad()
def check_fit(network: Network, *, shape: tuple[int, ...], classes: int) -> int:
    """Refuse a network that cannot take a pair's inputs, weights that are not there, and heads of a wrong shape.

    It is built for that and dropped, which takes a second for a ResNet-50. (On PyTorch's meta device a small one would
    take longer, because that imports a compiler.)

    Returns:
        The width of the features.

    Raises:
        BadInput: As `build_networks`; or a head of the network returns other shapes than it should.
    """
    with torch.random.fork_rng(devices=[]):
        width = _measure_width(network, network.feature_extractor(shape), shape)
        heads = {"label": network.label_head(width, classes), "domain": network.domain_head(width)}
    for kind, wanted in (("label", [(2, classes)]), ("domain", [(2,), (2, 1)])):
        try:
            found = tuple(heads[kind].eval()(torch.zeros(2, width)).shape)
        except (RuntimeError, ValueError, IndexError) as error:
            reason = str(error).splitlines()[0]
            raise BadInput(
                f"the {kind} head of network {network.name} cannot take {width} features: {reason}"
            ) from None
        if found not in wanted:
            raise BadInput(
                f"the {kind} head of network {network.name} must return logits {wanted[0]} of 2 samples, got {found}"
            )
    return width
