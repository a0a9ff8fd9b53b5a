"""Rendered house numbers: the source of Syn Numbers → SVHN, in our own generation."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.batches.streams import integers_below, random_bits
from datasets.domains.base import DIGITS, Domain, PairEntry
from datasets.domains.glyphs import COSINE, ONE, SINE, draw_masters, place_glyphs
from datasets.files.prepared import Arrays

TRAIN, TEST, SIZE = 50_000, 5_000, 32
CHUNK = 2_000


def build_syn_numbers(root: Path) -> Arrays:
    """Rendered numbers of one to three digits in colour, 32 × 32; the label is the digit in the middle.

    Varied as the paper describes: text, place, angle, colours of background, stroke and fill, and blur; besides, the
    background is a gradient. Our own generation of 50,000 and 5,000 images from 16 faces, deterministic; the original
    "Syn Numbers" (about 500,000 images from Windows fonts) was not at hand to lay beside them, so how far the two agree
    is unknown.

    Source: the fonts inside matplotlib
    Licence: MIT; the fonts have the DejaVu and STIX licences, which leave images of text free
    Citation: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17 (2016), for the idea
    """
    arrays: Arrays = {}
    masters = draw_masters()
    for split, count in (("train", TRAIN), ("test", TEST)):
        bits = random_bits(0, f"syn_numbers {split}", count, 22)
        parts = [draw_numbers(masters, bits[start : start + CHUNK]) for start in range(0, count, CHUNK)]
        arrays[f"{split}_inputs"] = np.concatenate([images for images, _ in parts])
        arrays[f"{split}_labels"] = np.concatenate([labels for _, labels in parts])
    return arrays


def draw_numbers(masters: NDArray[np.uint8], bits: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw one number per row of random bits.

    Returns:
        Images `(N, 32, 32, 3)` and labels `(N,)`.
    """
    digits = integers_below(bits[:, 0:3], 10)  # left, middle, right
    faces = integers_below(bits[:, 3], len(masters))
    degrees = integers_below(bits[:, 4], 31) - 15
    heights = integers_below(bits[:, 5], 9 * 16) + 17 * 16  # 17 to 26 pixels
    shifts = integers_below(bits[:, 6:8], 4 * 16 + 1) - 2 * 16
    shown = integers_below(bits[:, 8:10], 3) > 0  # a neighbour on the left, on the right
    # One digit after the other along the turned line of writing: 4/5 of a height apart.
    along = np.stack([SINE[degrees + 45], COSINE[degrees + 45]], 1) * -heights[:, None] * 4 // (5 * ONE)
    along[:, 1] = -along[:, 1]
    ink = np.zeros((len(bits), SIZE, SIZE), np.uint8)
    flat = masters.reshape(-1, *masters.shape[2:])
    for place in (0, 1, 2):
        drawn = place_glyphs(flat, faces * 10 + digits[:, place], degrees, heights, shifts + (place - 1) * along, SIZE)
        if place != 1:
            drawn *= shown[:, place // 2, None, None]
        ink = np.maximum(ink, drawn)
    return blur_images(paint_ink(ink, bits[:, 10:20]), integers_below(bits[:, 20], 3)), digits[:, 1]


def paint_ink(ink: NDArray[np.uint8], bits: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Colour the background (a gradient), a stroke around the ink (every second time), and the ink.

    Args:
        ink: `(N, 32, 32)`, 0 to 255.
        bits: uint64 `(N, 10)`.

    Returns:
        `(N, 32, 32, 3)`.
    """
    background = integers_below(bits[:, 0:3], 256)
    tilt = integers_below(bits[:, 3:5], 129) - 64  # change of brightness from one side to the other
    # The fill differs from the background by at least 48 in each channel; the stroke may be anything.
    distance = integers_below(bits[:, 5:8], 256 - 2 * 48) + 48
    fill = (background + distance) % 256
    stroke = (fill + background[:, [1, 2, 0]]) % 256
    stroked = integers_below(bits[:, 8], 2)
    ramp = np.arange(SIZE) - SIZE // 2
    slope = (tilt[:, 0, None, None] * ramp[:, None] + tilt[:, 1, None, None] * ramp) // SIZE
    image = background[:, None, None] + slope[..., None]
    wide = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    around = np.max([wide[:, y : y + SIZE, x : x + SIZE] for y in range(3) for x in range(3)], axis=0)
    for mask, colour in ((around * stroked[:, None, None], stroke), (ink.astype(np.int64), fill)):
        image = image + (colour[:, None, None] - image) * mask[..., None] // 255
    return np.clip(image, 0, 255).astype(np.uint8)


def blur_images(images: NDArray[np.uint8], times: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Average each pixel with its eight neighbours, 0, 1 or 2 times."""
    for time in range(2):
        wide = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge").astype(np.uint16)
        nine = sum(wide[:, y : y + SIZE, x : x + SIZE] for y in range(3) for x in range(3))
        images = np.where((times > time)[:, None, None, None], np.asarray(nine) // 9, images).astype(np.uint8)
    return images


DOMAINS = (
    Domain(
        name="syn_numbers",
        title="Syn Numbers",
        class_names=DIGITS,
        shape=(SIZE, SIZE, 3),
        counts=(TRAIN, TEST),
        build=build_syn_numbers,
        generated=True,
        digest="2a9deb5e7263d0b7f3c7fa2264097bf2d48481fc3e523af69a4387f637826268",
    ),
)
PAIRS = (PairEntry(source="syn_numbers", target="svhn"),)
