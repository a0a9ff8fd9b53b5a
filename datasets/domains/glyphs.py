"""Digits from the fonts that matplotlib ships, placed with integer arithmetic so that no machine rounds differently."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

# The DejaVu and STIX text faces. (The two DejaVu "Display" files hold no digits; they would draw boxes.)
FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-BoldOblique",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSansMono-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-BoldItalic",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralBolIta",
    "STIXGeneralItalic",
)
EM = 48  # pixels; a digit is about 35 high
CANVAS = 64  # pixels, square
ONE = 1 << 16  # fixed-point unit
# cos and sin of whole degrees -45 … 45, rounded: the last bit of a machine's cosine no longer matters.
COSINE = np.array([round(math.cos(math.radians(d)) * ONE) for d in range(-45, 46)], np.int64)
SINE = np.array([round(math.sin(math.radians(d)) * ONE) for d in range(-45, 46)], np.int64)


def draw_masters() -> NDArray[np.uint8]:
    """Draw each digit in each face once, large, its ink centred.

    Returns:
        `(faces, 10, CANVAS, CANVAS)`, 0 paper to 255 ink.
    """
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    masters = np.zeros((len(FACES), 10, CANVAS, CANVAS), np.uint8)
    for face, name in enumerate(FACES):
        font = ImageFont.truetype(folder / f"{name}.ttf", EM, layout_engine=ImageFont.Layout.BASIC)
        for digit in range(10):
            drawn = Image.new("L", (2 * CANVAS, 2 * CANVAS))
            ImageDraw.Draw(drawn).text((CANVAS // 2, CANVAS // 2), str(digit), fill=255, font=font)
            left, top, right, bottom = drawn.getbbox() or (0, 0, 0, 0)
            # The ink itself is centred: the box that a font states is off by up to 4 pixels in the slanted faces.
            left, top = (left + right - CANVAS) // 2, (top + bottom - CANVAS) // 2
            masters[face, digit] = np.asarray(drawn)[top : top + CANVAS, left : left + CANVAS]
    return masters


def place_glyphs(
    masters: NDArray[np.uint8],
    glyphs: NDArray[np.int64],
    degrees: NDArray[np.int64],
    heights: NDArray[np.int64],
    shifts: NDArray[np.int64],
    size: int,
) -> NDArray[np.uint8]:
    """Rotate, scale and shift one glyph per image; 2 × 2 bilinear samples per pixel, averaged.

    Args:
        masters: `(M, CANVAS, CANVAS)`.
        glyphs: which master, `(N,)`.
        degrees: rotation, whole degrees from -45 to 45, `(N,)`.
        heights: height of a digit in 1/16 pixel of the result, `(N,)`.
        shifts: offset of its centre from the image's in 1/16 pixel, down and right, `(N, 2)`.
        size: side of the square result in pixels.

    Returns:
        `(N, size, size)`, 0 paper to 255 ink.
    """
    count = len(glyphs)
    flat = masters.reshape(-1)
    # Master pixels per pixel of the result, fixed point; a digit of the master is 35 pixels high.
    scale = 35 * 16 * ONE // heights
    cosine, sine = COSINE[degrees + 45] * scale // ONE, SINE[degrees + 45] * scale // ONE
    # Positions of the four samples of each pixel, in 1/32 pixel from the centre of the image.
    grid = (np.arange(2 * size, dtype=np.int64) * 2 + 1) * 8 - 16 * size
    placed = np.empty((count, size, size), np.uint8)
    for start in range(0, count, 256):
        part = slice(start, start + 256)
        down = (grid - 2 * shifts[part, 0, None])[:, :, None]
        right = (grid - 2 * shifts[part, 1, None])[:, None, :]
        c, s = cosine[part, None, None], sine[part, None, None]
        # Inverse map into the master; half a pixel because a pixel's value sits at its centre.
        y = ((c * down - s * right) >> 5) + (CANVAS // 2 * ONE - ONE // 2)
        x = ((s * down + c * right) >> 5) + (CANVAS // 2 * ONE - ONE // 2)
        row, column = y >> 16, x >> 16
        inside = (row >= 0) & (row < CANVAS - 1) & (column >= 0) & (column < CANVAS - 1)
        corner = np.where(inside, glyphs[part, None, None] * CANVAS * CANVAS + row * CANVAS + column, 0)
        fy, fx = (y >> 8) & 255, (x >> 8) & 255
        above = flat[corner] * (256 - fx) + flat[corner + 1] * fx
        below = flat[corner + CANVAS] * (256 - fx) + flat[corner + CANVAS + 1] * fx
        samples = np.where(inside, above * (256 - fy) + below * fy, 0)
        quarters = samples.reshape(-1, size, 2, size, 2).sum((2, 4))
        placed[part] = (quarters + (1 << 17)) >> 18
    return placed
