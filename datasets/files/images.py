"""One image file becomes one RGB array, or one clear line."""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from datasets.errors import reading

MAX_PIXELS = 64_000_000


def open_rgb(file: Path | io.BytesIO) -> Image.Image:
    """Decode an image upright and in RGB. Transparent parts become white, 16 bits become 8.

    Raises:
        ValueError: too many pixels, or brightness without a fixed white. Whatever Pillow raises passes through.
    """
    with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
        image = Image.open(file)  # it warns of large images, which are refused here
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} × {image.height} pixels are more than {MAX_PIXELS:,}; make it smaller")
        if image.mode == "F":
            raise ValueError("floating-point brightness has no fixed white; save it with 8 or 16 bits")
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        upright = Image.fromarray((np.asarray(upright, np.int64).clip(0, 65535) // 257).astype(np.uint8))
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    return upright.convert("RGB")


def read_image(path: Path) -> NDArray[np.uint8]:
    """Decode an image file, `(H, W, 3)`.

    Raises:
        DatasetError: it cannot be decoded, or is too large.
    """
    with reading(path):
        return np.asarray(open_rgb(path))


def decode(content: bytes) -> NDArray[np.uint8]:
    """Decode an image in memory, `(H, W, 3)`."""
    return np.asarray(open_rgb(io.BytesIO(content)))
