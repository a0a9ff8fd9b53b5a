"""What is done to images so that two domains have one shape."""

from dataclasses import dataclass
from itertools import combinations

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


def agree_on_shape(*domains: Domain) -> tuple[tuple[int, ...], tuple[Conversion, ...]]:
    """Find the shape for all: the larger size and, if one is in colour, colour.

    Returns:
        The shape, and how each domain comes to it.

    Raises:
        DatasetError: images beside features, or features of different lengths.
    """
    for one, other in combinations(domains, 2):
        if len(one.shape) != len(other.shape) or (len(one.shape) == 1 and one.shape != other.shape):
            raise DatasetError(
                f"shapes do not fit: {one.name} has {one.shape}, {other.name} has {other.shape}; "
                "two image domains can be converted, features must have one length"
            )
        if len(one.shape) == 3 and one.shape[2] != other.shape[2] and 1 not in (one.shape[2], other.shape[2]):
            raise DatasetError(
                f"channels do not fit: {one.name} has {one.shape[2]}, {other.name} has {other.shape[2]}; "
                "only grey images (1 channel) can be converted"
            )
    shape = tuple(max(sizes) for sizes in zip(*(domain.shape for domain in domains), strict=True))
    return shape, tuple(Conversion(domain.name, domain.shape, shape) for domain in domains)
