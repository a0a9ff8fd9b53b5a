"""MNIST-M, made here from MNIST and the BSDS500 photographs."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from datasets.domains import mnist
from datasets.domains.base import DIGITS, SPLITS, Domain, PairEntry
from datasets.domains.blend import binarise, blend_digits
from datasets.errors import DatasetError
from datasets.files.images import read_image
from datasets.files.originals import Original
from datasets.files.prepared import Arrays
from datasets.resize import cut_centre

EVERY, OFFICIAL = (60_000, 10_000), (59_001, 9_001)
DIGESTS = {
    "mnist_m": "f960d70d7145972456a9e72c1736f1116c717534d6c6ffcef46d316ce0df9bd9",
    "mnist_m_32": "792870a14c31b2228c298096ee1bac6ff45cf71af4d1ee9a0441116c26de1689",
    "mnist_m_official": "61675274c64eeb5c9c70222e916893e8a4082834449f9f1321ff9aea1f2719d2",
    "mnist_m_official_32": "be7d7b1fcbde7d8fdcbb45a5e0ce2e1ab36eb347eff2ecdaf4bf2e44e11e249f",
    "mnist_m_grey": "5b0a969abd46e2b5f146eb9e4a45230965bffb679fedf644d1736106825fa6c4",
}
PHOTOGRAPH_COUNT = 200
BSR = "Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz"
PHOTOGRAPHS = Original(
    path="BSR/BSDS500/data/images/train",
    urls=(
        f"https://www2.eecs.berkeley.edu/{BSR}",
        f"http://www.eecs.berkeley.edu/{BSR}",
        "https://codeload.github.com/BIDS/BSDS500/tar.gz/a04b7c6c3a9f0ace74bf205c72a43d32e1c72722",
    ),
    kind="tar",
    member="BSDS500/data/images/train",
    pattern="*.jpg",  # the archive also holds a Thumbs.db
    contents="d11b47a6ba844165ee2b83967b6ad02642713627e839c1d81ec319b256e4384e",
)


def build_mnist_m(root: Path, size: int, counts: tuple[int, int]) -> Arrays:
    """MNIST digits that invert crops of photographs, colour: |photograph - 255 · (digit > 0)|, the original's rule.

    Image i is made from MNIST image i on a patch of 32 × 32 pixels, the digit in the middle 28 × 28. `mnist_m` is this
    middle, for networks that take 28 × 28; `mnist_m_32` is the whole patch. The `…_official` domains stop after the
    59,001 and 9,001 images that the original release has.

    This is the original's law, compared with a public copy of its 9,001 test images: each of them is, bit for bit, this
    rule on the MNIST test image of its number and a crop of one of the 200 training photographs of BSDS500 at their own
    scale; photographs and places are spread evenly, edges included. Only the draw differs: here photograph and crop
    come from a counter-based stream, and a small network trained on them reads .910 of their own test images and .906
    of the original's (`tests/benchmarks/mnist_m_fidelity.py`). Unknown are the crops of the original's training images,
    of which no public copy was found; that they follow the same rule is taken from the test images.

    Source: MNIST; the 200 training photographs of BSDS500, BSR/BSDS500/data/images/train/*.jpg
    Licence: research use; MNIST is CC BY-SA 3.0, BSDS500 for non-commercial research and education
    Citation: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17 (2016); Arbeláez et al., "Contour
        Detection and Hierarchical Image Segmentation", PAMI 33 (2011)
    """
    photographs, digits, arrays = read_photographs(root / PHOTOGRAPHS.path), mnist.build_mnist_32(root), {}
    for split, count in zip(SPLITS, counts, strict=True):
        patches = binarise(digits[f"{split}_inputs"][:count])
        arrays[f"{split}_inputs"] = cut_centre(blend_digits(patches, photographs, 0, f"mnist_m {split} patches"), size)
        arrays[f"{split}_labels"] = digits[f"{split}_labels"][:count]
    return arrays


def build_mnist_m_grey(root: Path) -> Arrays:
    """MNIST digits blended, grey as they are, over crops of photographs, colour, 28 × 28: |photograph - digit|.

    This is the paper's formula taken literally, and not the domain of the published numbers: see `mnist_m`. A grey
    digit has dark rims round every stroke, which the original lacks; a small network trained on it reads .923 of its
    own test images and .788 of the original's.

    Source: MNIST; the 200 training photographs of BSDS500, BSR/BSDS500/data/images/train/*.jpg
    Licence: research use; MNIST is CC BY-SA 3.0, BSDS500 for non-commercial research and education
    Citation: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17 (2016); Arbeláez et al., "Contour
        Detection and Hierarchical Image Segmentation", PAMI 33 (2011)
    """
    photographs, arrays = read_photographs(root / PHOTOGRAPHS.path), mnist.build_mnist(root)
    for split in SPLITS:
        arrays[f"{split}_inputs"] = blend_digits(arrays[f"{split}_inputs"], photographs, 0, f"mnist_m {split} crops")
    return arrays


def read_photographs(folder: Path) -> list[np.ndarray]:
    """Decode the photographs in the order of their numbers.

    Returns:
        200 arrays `(height, width, 3)` uint8.
    """
    files = sorted(folder.glob("*.jpg"), key=lambda file: (len(file.stem), file.stem))
    if len(files) != PHOTOGRAPH_COUNT:
        raise DatasetError(f"{folder} holds {len(files)} photographs, expected {PHOTOGRAPH_COUNT}")
    return [read_image(file) for file in files]


def describe(name: str, title: str, build: Callable[[Path], Arrays], size: int, counts: tuple[int, int]) -> Domain:
    """Describe one of the domains that are generated here."""
    return Domain(
        name=name,
        title=title,
        class_names=DIGITS,
        shape=(size, size, 3),
        counts=counts,
        build=build,
        originals=(*mnist.ORIGINALS, PHOTOGRAPHS),
        generated=True,
        digest=DIGESTS[name],
        version=2 if name == "mnist_m" else 1,  # the first one was grey
    )


DOMAINS = (
    *(
        describe(name, title, partial(build_mnist_m, size=size, counts=counts), size, counts)
        for name, title, size, counts in (
            ("mnist_m", "MNIST-M", 28, EVERY),
            ("mnist_m_32", "MNIST-M 32 × 32", 32, EVERY),
            ("mnist_m_official", "MNIST-M (official counts)", 28, OFFICIAL),
            ("mnist_m_official_32", "MNIST-M 32 × 32 (official counts)", 32, OFFICIAL),
        )
    ),
    describe("mnist_m_grey", "MNIST-M (grey digits)", build_mnist_m_grey, 28, EVERY),
)
PAIRS = tuple(
    PairEntry(source="mnist_32" if domain.shape[0] == 32 else "mnist", target=domain.name) for domain in DOMAINS
)
