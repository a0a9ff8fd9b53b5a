"""Rendered digits, and other rendered digits over photographs: the image pair that needs no download."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.batches.streams import integers_below, random_bits
from datasets.domains.base import DIGITS, SPLITS, Domain, PairEntry
from datasets.domains.blend import binarise, blend_digits, read_samples
from datasets.domains.glyphs import draw_masters, place_glyphs
from datasets.files.prepared import Arrays

TRAIN, TEST, SIZE = 10_000, 2_000, 28


def render_digits(count: int, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Render `count` digits; digit i depends on `name` and i alone.

    Returns:
        Images `(count, 28, 28, 1)`, light on black, and labels `(count,)`.
    """
    bits = random_bits(0, name, count, 7)
    masters = draw_masters()
    labels = integers_below(bits[:, 0], 10)
    faces = integers_below(bits[:, 1], len(masters))
    degrees = integers_below(bits[:, 2], 41) - 20
    heights = integers_below(bits[:, 3], 8 * 16) + 14 * 16  # 14 to 22 pixels
    shifts = integers_below(bits[:, 4:6], 6 * 16 + 1) - 3 * 16  # up to 3 pixels each way
    brightness = integers_below(bits[:, 6], 96) + 160  # 160 to 255
    ink = place_glyphs(masters.reshape(-1, *masters.shape[2:]), faces * 10 + labels, degrees, heights, shifts, SIZE)
    shades = (ink.astype(np.int64) * brightness[:, None, None] + 127) // 255
    return shades.astype(np.uint8)[..., None], labels


def build_syn_digits(root: Path) -> Arrays:
    """Digits rendered from 16 DejaVu and STIX faces, light on black; size, place, angle and brightness vary.

    Our own generation, deterministic; not the "Synthetic Numbers" of the literature (see `syn_numbers` for those).

    Source: the fonts inside matplotlib
    Licence: MIT; the fonts have the DejaVu and STIX licences, which leave images of text free
    Citation: this repository
    """
    return render_splits("syn_digits")


def build_syn_digits_m(root: Path) -> Arrays:
    """Other digits like `syn_digits` that invert crops of two photographs: |photograph - 255 · (digit > 0)|.

    No image of `syn_digits` occurs here: faces, angles, sizes and labels are drawn anew. The rule is MNIST-M's own.

    Source: the fonts inside matplotlib; the photographs china.jpg and flower.jpg inside scikit-learn
    Licence: CC BY; that of scikit-learn's two sample photographs
    Citation: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17 (2016), for the blend
    """
    photographs, arrays = read_samples(), render_splits("syn_digits_m")
    for split in SPLITS:
        digits = binarise(arrays[f"{split}_inputs"])
        arrays[f"{split}_inputs"] = blend_digits(digits, photographs, 0, f"syn_digits_m {split} crops")
    return arrays


def render_splits(name: str) -> Arrays:
    """Render both splits of a domain, each from its own stream."""
    arrays: Arrays = {}
    for split, count in zip(SPLITS, (TRAIN, TEST), strict=True):
        arrays[f"{split}_inputs"], arrays[f"{split}_labels"] = render_digits(count, f"{name} {split}")
    return arrays


DOMAINS = (
    Domain(
        name="syn_digits",
        title="Syn Digits",
        class_names=DIGITS,
        shape=(SIZE, SIZE, 1),
        counts=(TRAIN, TEST),
        build=build_syn_digits,
        generated=True,
        digest="a0f60011755dae18c354585ed6d76e73e8e8a9b9b5178137aec8cffd44457301",
    ),
    Domain(
        name="syn_digits_m",
        title="Syn Digits-M",
        class_names=DIGITS,
        shape=(SIZE, SIZE, 3),
        counts=(TRAIN, TEST),
        build=build_syn_digits_m,
        generated=True,
        digest="0ec1008a0d600bd0a2d97d2471ad3db029d59934fb7013ba6d467c00979961e2",
        version=2,  # the first one was grey
    ),
)
PAIRS = (PairEntry(source="syn_digits", target="syn_digits_m"),)
