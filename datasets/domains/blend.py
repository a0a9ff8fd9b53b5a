"""The MNIST-M rule: a digit inverts the photograph that it is laid upon."""

import numpy as np
from numpy.typing import NDArray

from datasets.batches.streams import integers_below, random_bits


def blend_digits(
    digits: NDArray[np.uint8], photographs: list[NDArray[np.uint8]], seed: int, name: str
) -> NDArray[np.uint8]:
    """Lay each digit over a random crop of a random photograph.

        out[y, x, channel] = |photograph[y, x, channel] - digit[y, x]|    (Ganin et al., JMLR 17 (2016), section 5.2.4)

    Photograph and crop of image i depend on seed, name and i alone.

    Args:
        digits: `(N, H, W, 1)`.
        photographs: each `(height, width, 3)`, at least as large as a digit.
        seed: of the stream that picks photographs and crops.
        name: of that stream.

    Returns:
        `(N, H, W, 3)` uint8.
    """
    count, height, width, _ = digits.shape
    bits = random_bits(seed, name, count, 3)
    chosen = integers_below(bits[:, 0], len(photographs))
    room = np.array([(p.shape[0] - height + 1, p.shape[1] - width + 1) for p in photographs], np.int64)
    tops = integers_below(bits[:, 1], room[chosen, 0])
    lefts = integers_below(bits[:, 2], room[chosen, 1])
    blended = np.empty((count, height, width, 3), np.uint8)
    for i, (photograph, top, left) in enumerate(zip(chosen, tops, lefts, strict=True)):
        crop = photographs[photograph][top : top + height, left : left + width]
        # Written as max - min, |a - b| needs no signed integers.
        np.subtract(np.maximum(crop, digits[i]), np.minimum(crop, digits[i]), out=blended[i])
    return blended


def binarise(digits: NDArray[np.uint8], above: int = 0) -> NDArray[np.uint8]:
    """Make every pixel brighter than `above` white and all others black, as the original MNIST-M does with 0."""
    return np.where(digits > above, np.uint8(255), np.uint8(0))


def read_samples() -> list[NDArray[np.uint8]]:
    """Read the two photographs that scikit-learn ships, china.jpg and flower.jpg, each `(427, 640, 3)`."""
    from sklearn.datasets import load_sample_images

    return [np.asarray(photograph) for photograph in load_sample_images().images]
