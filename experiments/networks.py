"""The networks of the papers, each as feature extractor, label predictor and domain classifier.

All heads return logits; `domain_logits` has shape (N,). Weights are PyTorch's defaults, drawn from a stream per part,
so that the extractor starts from the same weights whatever the method.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from datasets import DomainPair
from experiments.errors import BadInput
from experiments.randomness import derive_seed


class Networks(nn.Module):
    """The three networks of one experiment."""

    def __init__(self, feature_extractor: nn.Module, label_predictor: nn.Module, domain_classifier: nn.Module):
        super().__init__()
        self.feature_extractor = feature_extractor
        self.label_predictor = label_predictor
        self.domain_classifier = domain_classifier

    def predict(self, inputs: Tensor) -> Tensor:
        """Label logits (N, C) of inputs (N, ...)."""
        return self.label_predictor(self.feature_extractor(inputs))


@dataclass(frozen=True)
class Architecture:
    """How to build the three parts for inputs of one shape.

    Attributes:
        together: how many runs, differing in seed and alpha, are trained as one program at most: where
            `tests.benchmarks.together` found the largest gain; 1 where there is none. More than 1 for networks without
            BatchNorm and Dropout alone.
    """

    input_shape: tuple[int, ...]
    feature_extractor: Callable[[], nn.Module]
    label_predictor: Callable[[int], nn.Module]
    domain_classifier: Callable[[], nn.Module]
    together: int = 1


def _moons_extractor() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())


def _shallow_extractor() -> nn.Module:
    # Section 5.1 of Ganin et al. (2016): one layer of 50 or 100 sigmoid units on 5,000 word counts.
    return nn.Sequential(nn.Linear(5000, 50), nn.Sigmoid())


def _mnist_paper_extractor() -> nn.Module:
    # Figure 4a of Ganin et al. (2016); it prints no padding: 28 -> 24 -> 12 -> 8 -> 4, 48 * 4 * 4 = 768 features.
    return nn.Sequential(
        nn.Conv2d(3, 32, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(32, 48, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(),
    )  # fmt: skip


def _mnist_modern_extractor() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 5), nn.BatchNorm2d(32), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(32, 48, 5), nn.BatchNorm2d(48), nn.Dropout2d(0.5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(),
    )  # fmt: skip


def _mnist_label_predictor(classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(768, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, classes))


def _mnist_domain_classifier() -> nn.Module:
    return nn.Sequential(nn.Linear(768, 100), nn.ReLU(), nn.Linear(100, 1), nn.Flatten(0))


NETWORKS = {
    "moons": Architecture(
        (2,),
        _moons_extractor,
        lambda classes: nn.Linear(32, classes),
        lambda: nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0)),
        together=80,
    ),
    "shallow": Architecture(
        (5000,),
        _shallow_extractor,
        lambda classes: nn.Linear(50, classes),
        lambda: nn.Sequential(nn.Linear(50, 1), nn.Flatten(0)),
        together=16,
    ),
    "mnist_paper": Architecture((3, 28, 28), _mnist_paper_extractor, _mnist_label_predictor, _mnist_domain_classifier),
    "mnist_modern": Architecture(
        (3, 28, 28), _mnist_modern_extractor, _mnist_label_predictor, _mnist_domain_classifier
    ),
}


def check_shape(name: str, pair: DomainPair) -> None:
    """Refuse a pair whose inputs the named networks cannot take."""
    shape = (pair.shape[-1], *pair.shape[:-1])  # of a batch's sample: channels first
    if shape != NETWORKS[name].input_shape:
        raise BadInput(f"network {name} takes inputs of shape {NETWORKS[name].input_shape}, pair {pair.id} has {shape}")


def build_networks(name: str, *, classes: int, seed: int) -> Networks:
    """Build the named networks with seeded weights, leaving the global random state as it was."""
    architecture = NETWORKS[name]
    parts: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        for part, build in (
            ("feature_extractor", architecture.feature_extractor),
            ("label_predictor", lambda: architecture.label_predictor(classes)),
            ("domain_classifier", architecture.domain_classifier),
        ):
            torch.manual_seed(derive_seed(seed, f"init/{part}"))
            parts.append(build())
    networks = Networks(*parts)
    is_convolutional = len(architecture.input_shape) == 3
    return networks.to(memory_format=torch.channels_last) if is_convolutional else networks
