"""Two types of training data. Which one a training loop holds decides what it can know."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlabelled:
    """Samples without labels: there is no attribute that a loop could read by mistake.

    Attributes:
        name: what this is, for example "mnist_m train"; also the name of its random stream.
        inputs: images as uint8 `(N, H, W, C)`, features as float32 `(N, D)`.
    """

    name: str
    inputs: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

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
    """

    name: str
    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def mean(self) -> Tensor:
        """Average the inputs on the scale that a network sees, for mean subtraction.

        Returns:
            Images: one value per channel in [0, 1], `(C,)`; features: one value per feature, `(D,)`; float32.
        """
        return mean_of(self.inputs)


def mean_of(inputs: Tensor) -> Tensor:
    """Average uint8 images `(N, H, W, C)` per channel in [0, 1], or features `(N, D)` per feature.

    Returns:
        `(C,)` or `(D,)`, float32.
    """
    if inputs.dtype != torch.uint8:
        return inputs.double().mean(0).float()
    # Up to 65,536 bytes add up to a whole number below 2^24, which float32 holds exactly, whatever the order.
    rows = inputs.flatten(0, 1).flatten(1)
    totals = torch.stack([part.float().sum(0) for part in rows.split(1024)]).double().sum(0)
    channels = totals.view(-1, inputs.shape[-1]).sum(0)
    return (channels / (255 * (inputs.numel() // inputs.shape[-1]))).float()
