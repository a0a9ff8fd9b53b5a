"""The small handwritten digits inside scikit-learn, and the same digits over photographs. No download."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.domains.base import DIGITS, SPLITS, Domain, PairEntry
from datasets.domains.blend import binarise, blend_digits, read_samples
from datasets.files.prepared import Arrays
from datasets.resize import resize_images

TRAIN, TEST, COPIES, SIZE = 1_297, 500, 10, 28


def read_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the 1,797 digits in their order, 8 × 8 with 17 levels, and enlarge them.

    Returns:
        Images `(1797, 28, 28, 1)` and labels `(1797,)`.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    small = (np.asarray(images, np.int64) * 255 // 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    return resize_images(small, SIZE, SIZE), np.asarray(labels, np.int64)


def build_digits(root: Path) -> Arrays:
    """Handwritten digits, grey, 8 × 8 enlarged to 28 × 28: the first 1,297 for training, the last 500 for testing.

    Source: scikit-learn's load_digits
    Licence: CC BY 4.0
    Citation: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998)
    """
    images, labels = read_digits()
    return {
        "train_inputs": images[:TRAIN],
        "train_labels": labels[:TRAIN],
        "test_inputs": images[TRAIN:],
        "test_labels": labels[TRAIN:],
    }


def build_digits_m(root: Path) -> Arrays:
    """The digits of `digits`, each inverting ten different crops of photographs: |photograph - 255 · (digit > 127)|.

    Images 10 i … 10 i + 9 show digit i. Binarised like MNIST-M, but at half brightness: an 8 × 8 digit that is enlarged
    has a soft rim of three pixels, and with all of it white it is a blob (a network of `digits` then reads .17 of them,
    of these .57, and DANN .28 and .61).

    Source: scikit-learn's load_digits and its sample photographs china.jpg and flower.jpg
    Licence: CC BY 4.0; the digits so, the two sample photographs CC BY
    Citation: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17 (2016), for the blend
    """
    photographs, plain, arrays = read_samples(), build_digits(root), {}
    for split in SPLITS:
        digits = binarise(plain[f"{split}_inputs"], above=127).repeat(COPIES, axis=0)
        arrays[f"{split}_inputs"] = blend_digits(digits, photographs, 0, f"digits_m {split} crops")
        arrays[f"{split}_labels"] = plain[f"{split}_labels"].repeat(COPIES)
    return arrays


DOMAINS = (
    Domain(
        name="digits",
        title="Digits",
        class_names=DIGITS,
        shape=(SIZE, SIZE, 1),
        counts=(TRAIN, TEST),
        build=build_digits,
        generated=True,
        digest="01224cb76195ab3e33d98b2d0abfcbcada0de8adf91ecd9b9c8f53342a7d81f4",
    ),
    Domain(
        name="digits_m",
        title="Digits-M",
        class_names=DIGITS,
        shape=(SIZE, SIZE, 3),
        counts=(COPIES * TRAIN, COPIES * TEST),
        build=build_digits_m,
        generated=True,
        digest="702d42b40ddc882cb047c1a5df8a05ef0cd9d4e1ecd27e841efba8842c6f8d42",
        version=2,  # the first one was grey
    ),
)
PAIRS = (PairEntry(source="digits", target="digits_m"),)
