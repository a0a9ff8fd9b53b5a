"""Two types of training data. Which one a training loop holds decides what it can know."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlabelled:
    """Samples without labels: there is no attribute that a loop could read by mistake.

    Attributes:
        name: what this is, for example "mnist_m train"; also the name of its random stream.
        inputs: images as uint8 `(N, H, W, C)`, features as float32 `(N, D)`.
        domains: of several domains one after the other, the number of each sample's, int64 `(N,)`; None of one alone.
    """

    name: str
    inputs: Tensor
    domains: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def choose(self, index: Tensor) -> "Unlabelled":
        """Return the samples at `index`, int64 `(n,)`, under the same name; of several domains, in their order."""
        domains = None if self.domains is None else self.domains[index]
        return Unlabelled(name=self.name, inputs=self.inputs[index], domains=domains)

    def mean(self) -> Tensor:
        """Average the inputs on the scale that a network sees, for mean subtraction.

        Returns:
            Images: one value per channel in [0, 1], `(C,)`; features: one value per feature, `(D,)`; float32.
        """
        return mean_of(self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Samples with their class labels.

    Attributes:
        name: what this is, for example "mnist train"; also the name of its random stream.
        inputs: images as uint8 `(N, H, W, C)`, features as float32 `(N, D)`.
        labels: int64 `(N,)`.
        domains: as of `Unlabelled`.
    """

    name: str
    inputs: Tensor
    labels: Tensor
    domains: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def choose(self, index: Tensor) -> "Labelled":
        """Return the samples at `index`, int64 `(n,)`, under the same name."""
        domains = None if self.domains is None else self.domains[index]
        return Labelled(name=self.name, inputs=self.inputs[index], labels=self.labels[index], domains=domains)

    def mean(self) -> Tensor:
        """Average the inputs on the scale that a network sees, for mean subtraction.

        Returns:
            Images: one value per channel in [0, 1], `(C,)`; features: one value per feature, `(D,)`; float32.
        """
        return mean_of(self.inputs)


Split = Labelled | Unlabelled
AnySplit = TypeVar("AnySplit", bound=Split)


def by_domain(split: AnySplit) -> list[AnySplit]:
    """Divide a split of several domains into one of each, in their order; without a copy."""
    if split.domains is None:
        return [split]
    ends = split.domains.bincount().cumsum(0).tolist()
    parts = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    return [
        replace(
            split, name=f"{split.name}, {number}", domains=None, inputs=split.inputs[part],
            **({"labels": split.labels[part]} if isinstance(split, Labelled) else {}),
        )
        for number, part in enumerate(parts, 1)
    ]  # fmt: skip


def join(splits: Sequence[Labelled]) -> Labelled:
    """Put the splits of several domains one after the other; one alone stays as it is."""
    if len(splits) == 1:
        return splits[0]
    return Labelled(
        name=" + ".join(split.name for split in splits),
        inputs=torch.cat([split.inputs for split in splits]),
        labels=torch.cat([split.labels for split in splits]),
        domains=torch.arange(len(splits)).repeat_interleave(torch.tensor([*map(len, splits)])),
    )


def mean_of(inputs: Tensor) -> Tensor:
    """Average uint8 images `(N, H, W, C)` per channel in [0, 1], or features `(N, D)` per feature.

    Returns:
        `(C,)` or `(D,)`, float32.
    """
    if inputs.dtype != torch.uint8:
        return inputs.double().mean(0).float()
    return (channel_sums(inputs, 1) / (255 * pixels(inputs))).float()


def standard_deviation_of(inputs: Tensor) -> Tensor:
    """Measure the spread of uint8 images per channel in [0, 1], or of features; divided by the count.

    Returns:
        `(C,)` or `(D,)`, float32.
    """
    if inputs.dtype != torch.uint8:
        return inputs.double().std(0, correction=0).float()
    mean = channel_sums(inputs, 1) / pixels(inputs)
    return ((channel_sums(inputs, 2) / pixels(inputs) - mean**2).sqrt() / 255).float()


def pixels(inputs: Tensor) -> int:
    """Count the pixels of `(N, H, W, C)`."""
    return inputs.numel() // inputs.shape[-1]


def channel_sums(inputs: Tensor, power: int) -> Tensor:
    """Add up the bytes of each channel, or their squares: exactly, whatever the order or the number of threads.

    256 squares of bytes add up to a whole number below 2^24, which float32 holds exactly.

    Returns:
        `(C,)` float64.
    """
    rows = inputs.flatten(0, 1).flatten(1)
    totals = torch.stack([part.float().pow(power).sum(0) for part in rows.split(256)]).double().sum(0)
    return totals.view(-1, inputs.shape[-1]).sum(0)
