"""Images of one size from images of another, with the same bytes on every machine."""

import numpy as np
from numpy.typing import NDArray


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


def pad_images(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Lay square images `(N, H, H, C)` in the middle of black ones, `(N, size, size, C)`."""
    rim = (size - images.shape[1]) // 2
    return np.pad(images, ((0, 0), (rim, rim), (rim, rim), (0, 0)))


def cut_centre(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Cut the middle `(N, size, size, C)` out of square images `(N, H, H, C)`."""
    rim = (images.shape[1] - size) // 2
    return np.ascontiguousarray(images[:, rim : rim + size, rim : rim + size])
