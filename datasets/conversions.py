"""What is done to images so that two domains have one shape."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.domain import Domain
from datasets.errors import DatasetError


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


def resize_images(images: NDArray[np.generic], height: int, width: int) -> NDArray[np.uint8]:
    """Resize bilinearly with integer weights, so that every machine gets the same bytes.

    Args:
        images: `(N, H, W, C)` uint8.
        height: of the result, not smaller than H.
        width: of the result, not smaller than W.

    Returns:
        `(N, height, width, C)` uint8.
    """
    count, _, _, channels = images.shape
    down, right = bilinear_weights(images.shape[1], height), bilinear_weights(images.shape[2], width)
    resized = np.empty((count, height, width, channels), np.uint8)
    for start in range(0, count, 1024):
        part = images[start : start + 1024].transpose(0, 3, 1, 2).astype(np.float64)
        # Products of integers below 2^53: float64 holds them exactly, in whatever order they are added.
        sums = down @ part @ right.T
        resized[start : start + 1024] = ((sums + 32768) // 65536).astype(np.uint8).transpose(0, 2, 3, 1)
    return resized


def bilinear_weights(before: int, after: int) -> NDArray[np.float64]:
    """Build the matrix that resizes one axis; whole numbers, each row adds up to 256.

    Returns:
        `(after, before)`.
    """
    # Centre of pixel i of the result, in 1/256 pixel of the original, held inside the original.
    centres = ((2 * np.arange(after) + 1) * before * 256 // after - 256) // 2
    centres = np.clip(centres, 0, (before - 1) * 256)
    low = np.minimum(centres // 256, max(before - 2, 0))
    weights = np.zeros((after, before))
    np.add.at(weights, (np.arange(after), low), 256 - (centres - 256 * low))
    np.add.at(weights, (np.arange(after), np.minimum(low + 1, before - 1)), centres - 256 * low)
    return weights
