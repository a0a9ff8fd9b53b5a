"""MNIST-M, made here from MNIST and the BSDS500 photographs."""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.domains import mnist
from datasets.domains.base import DIGITS, Domain
from datasets.domains.blend import blend_digits
from datasets.errors import DatasetError, reading
from datasets.files.originals import Original
from datasets.files.prepared import Arrays

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


def build_mnist_m(root: Path, binarise: bool = False) -> Arrays:
    """MNIST digits blended over crops of photographs, colour, 28 × 28: |photograph - digit|.

    Image i is made from MNIST image i. The photograph and the crop of each image come from a counter-based stream, so
    the bytes are the same everywhere. The original release holds 59,001 and 9,001 images with unknown crops, so it
    cannot be rebuilt; here every MNIST image has its counterpart, 60,000 and 10,000. Both splits use the 200 training
    photographs. Digits stay grey as in the paper; `mnist_m_binarised` makes them black and white first.

    Source: MNIST; the 200 training photographs of BSDS500, BSR/BSDS500/data/images/train/*.jpg
    Licence: research use; MNIST is CC BY-SA 3.0, BSDS500 for non-commercial research and education
    Citation: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17 (2016); Arbeláez et al., "Contour
        Detection and Hierarchical Image Segmentation", PAMI 33 (2011)
    """
    photographs = read_photographs(root / PHOTOGRAPHS.path)
    digits = mnist.build_mnist(root)
    return {
        "train_inputs": blend_digits(digits["train_inputs"], photographs, 0, "mnist_m train crops", binarise),
        "train_labels": digits["train_labels"],
        "test_inputs": blend_digits(digits["test_inputs"], photographs, 0, "mnist_m test crops", binarise),
        "test_labels": digits["test_labels"],
    }


def read_photographs(folder: Path) -> list[np.ndarray]:
    """Decode the photographs in the order of their numbers.

    Returns:
        200 arrays `(height, width, 3)` uint8.
    """
    files = sorted(folder.glob("*.jpg"), key=lambda file: (len(file.stem), file.stem))
    if len(files) != PHOTOGRAPH_COUNT:
        raise DatasetError(f"{folder} holds {len(files)} photographs, expected {PHOTOGRAPH_COUNT}")
    photographs = []
    for file in files:
        with reading(file), Image.open(file) as image:
            photographs.append(np.asarray(image.convert("RGB")))
    return photographs


DOMAINS = tuple(
    Domain(
        name=name,
        title=title,
        class_names=DIGITS,
        shape=(28, 28, 3),
        counts=(60_000, 10_000),
        build=build,
        originals=(*mnist.ORIGINALS, PHOTOGRAPHS),
        generated=True,
        digest=digest,
    )
    for name, title, build, digest in (
        (
            "mnist_m",
            "MNIST-M",
            build_mnist_m,
            "5b0a969abd46e2b5f146eb9e4a45230965bffb679fedf644d1736106825fa6c4",
        ),
        (
            "mnist_m_binarised",
            "MNIST-M (binarised digits)",
            partial(build_mnist_m, binarise=True),
            "15557f81b0230193da9e6bb476cb21090672631926533701a5299f89bc4b3875",
        ),
    )
)
PAIRS = ()
