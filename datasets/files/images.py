"""One image file becomes one RGB array, or one clear line."""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from datasets.errors import reading

MAX_PIXELS = 64_000_000


def open_rgb(file: Path | io.BytesIO, *, turn: bool = True) -> Image.Image:
    """Decode an image in RGB. Transparent parts become white, 16 bits become 8.

    Args:
        file: what to decode.
        turn: upright, if the camera noted how it was held.

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
        pixels = ImageOps.exif_transpose(image) if turn else image.copy()
    if pixels.mode.startswith("I"):
        pixels = Image.fromarray((np.asarray(pixels, np.int64).clip(0, 65535) // 257).astype(np.uint8))
    if pixels.has_transparency_data:
        pixels = pixels.convert("RGBA")
        pixels = Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels)
    return pixels.convert("RGB")


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
