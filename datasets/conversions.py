"""What is done to images so that two domains have one shape."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.domains.base import Domain
from datasets.errors import DatasetError
from datasets.resize import resize_images


@dataclass(frozen=True, slots=True)
class Conversion:
    """Bring the inputs of one domain to a shape.

    Attributes:
        name: of the domain, for the sentences.
        before: its own shape of a sample.
        after: the shape wanted.
    """

    name: str
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """What is done, one sentence each; empty when nothing is."""
        steps = []
        if self.before[:-1] != self.after[:-1]:
            steps.append(f"{self.name}: {shown(self.before)} → {shown(self.after)} pixels, bilinear")
        if self.before[-1] != self.after[-1]:
            steps.append(f"{self.name}: grey → {self.after[-1]} equal channels")
        return tuple(steps)

    def __call__(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        """Convert `(N, *before)` to `(N, *after)`; the same array when there is nothing to do."""
        if self.before[:-1] != self.after[:-1]:
            inputs = resize_images(inputs, self.after[0], self.after[1])
        if self.before[-1] != self.after[-1]:
            inputs = np.repeat(inputs, self.after[-1], axis=-1)
        return inputs


def shown(shape: tuple[int, ...]) -> str:
    """Print the size of an image: 28 × 28."""
    return f"{shape[0]} × {shape[1]}"


def agree_on_shape(source: Domain, target: Domain) -> tuple[tuple[int, ...], Conversion, Conversion]:
    """Find the shape for both: the larger size and, if one is in colour, colour.

    Returns:
        The shape and how each domain comes to it.

    Raises:
        DatasetError: images beside features, or features of different lengths.
    """
    if len(source.shape) != len(target.shape) or (len(source.shape) == 1 and source.shape != target.shape):
        raise DatasetError(
            f"shapes do not fit: {source.name} has {source.shape}, {target.name} has {target.shape}; "
            "two image domains can be converted, features must have one length"
        )
    if len(source.shape) == 3 and source.shape[2] != target.shape[2] and 1 not in (source.shape[2], target.shape[2]):
        raise DatasetError(
            f"channels do not fit: {source.name} has {source.shape[2]}, {target.name} has {target.shape[2]}; "
            "only grey images (1 channel) can be converted"
        )
    shape = tuple(max(sizes) for sizes in zip(source.shape, target.shape, strict=True))
    return shape, Conversion(source.name, source.shape, shape), Conversion(target.name, target.shape, shape)
