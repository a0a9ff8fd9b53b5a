"""The original release of MNIST-M, read where it lies and never generated."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.domains import mnist
from datasets.domains.base import DIGITS, SPLITS, Domain, PairEntry
from datasets.errors import DatasetError, reading
from datasets.files.images import decode, read_image
from datasets.files.originals import Original
from datasets.files.prepared import Arrays
from datasets.files.safe_pickle import load_arrays
from datasets.resize import cut_centre

SIZE, COUNTS = 32, (59_001, 9_001)
AGREEMENT = 0.9  # of its labels with MNIST's; all of the 9,001 test labels of a public copy agree
FOLDER = Original(
    path="mnist_m",
    also=("MNIST-M", "mnist-m"),
    manual="ask for mnist_m.tar.gz (the page of Unsupervised Domain Adaptation by Backpropagation) and unpack it, or "
    "put its parquet files or a pickle of its arrays there",
)
Split = tuple[NDArray[np.uint8], NDArray[np.int64] | None]


def build_original(root: Path, size: int) -> Arrays:
    """The images of the original release, 32 × 32 (`mnist_m_original_32`) or their middle 28 × 28: 59,001 and 9,001.

    Three layouts are read from the folder mnist_m: mnist_m_train/*.png with mnist_m_train_labels.txt, and the same for
    test; *.parquet with columns image and label, train or test in the name; a pickle of arrays (*.pkl, *.pkl.gz) with
    train and test, labels as in MNIST. A pickle that refers to anything but arrays is refused. Counts, sizes and labels
    must be those of the release; the well-known keras_mnistm.pkl is another generation, of 28 × 28, and refused so.

    Source: the authors' mnist_m.tar.gz, by hand; MNIST's label files, to compare
    Licence: research use; made of MNIST (CC BY-SA 3.0) and BSDS500 (non-commercial research and education)
    Citation: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17 (2016)
    """
    folder, arrays = FOLDER.find(root) or root / FOLDER.path, {}
    labels_of_mnist = mnist.build_mnist(root)
    for split, count in zip(SPLITS, COUNTS, strict=True):
        images, labels = read_split(folder, split)
        expected = labels_of_mnist[f"{split}_labels"][: len(images)]
        if images.dtype != np.uint8 or images.shape != (count, SIZE, SIZE, 3):
            raise DatasetError(
                f"{folder}: the {split} images are {images.dtype} of shape {images.shape}, "
                f"the original release has uint8 ({count}, {SIZE}, {SIZE}, 3)"
            )
        labels = expected if labels is None else labels
        if (same := (labels == expected).mean()) < AGREEMENT:
            raise DatasetError(
                f"{folder}: {same:.3f} of the {split} labels are those of MNIST's images in its order, expected "
                f"at least {AGREEMENT}; labels or images are shuffled"
            )
        arrays[f"{split}_inputs"], arrays[f"{split}_labels"] = cut_centre(images, size), labels
    return arrays


def read_split(folder: Path, split: str) -> Split:
    """Read one split in whatever layout is there.

    Returns:
        Images `(N, H, W, 3)` and labels `(N,)`, or None where the layout has no labels.
    """
    if (table := folder / f"mnist_m_{split}_labels.txt").is_file():
        return read_list(table, folder / f"mnist_m_{split}")
    if files := sorted(path for path in folder.rglob("*.parquet") if split in path.name):
        return read_parquet(files)
    if files := sorted((*folder.glob("*.pkl"), *folder.glob("*.pkl.gz"))):
        arrays = load_arrays(files[0])
        if split not in arrays:
            raise DatasetError(f"{files[0]} must hold train and test, it holds {', '.join(arrays) or 'nothing'}")
        return arrays[split], None
    raise DatasetError(
        f"{folder} holds neither mnist_m_{split}_labels.txt nor a parquet file of {split} nor a pickle of arrays"
    )


def read_list(table: Path, folder: Path) -> Split:
    """Read images by a list of lines «00000000.png 5», in the order of their names, which is MNIST's."""
    with reading(table):
        rows = sorted((name, int(label)) for name, label in map(str.split, table.read_text().splitlines()))
    images = [read_image(folder / name) for name, _ in rows]
    return stack(images, table), np.array([label for _, label in rows], np.int64)


def read_parquet(files: list[Path]) -> Split:
    """Read encoded images and labels from the columns of parquet files."""
    from pyarrow.parquet import read_table

    images, labels = [], []
    for file in files:
        with reading(file):
            columns = read_table(file, columns=["image", "label"]).to_pydict()
            labels += [int(label) for label in columns["label"]]
            images += [decode(one["bytes"] if isinstance(one, dict) else one) for one in columns["image"]]
    return stack(images, files[0]), np.array(labels, np.int64)


def stack(images: list[NDArray[np.uint8]], place: Path) -> NDArray[np.uint8]:
    """Put images of one size into one array."""
    if len(sizes := {image.shape for image in images}) != 1:
        raise DatasetError(f"{place}: images must have one size, they have {len(sizes)}")
    return np.stack(images)


DOMAINS = tuple(
    Domain(
        name=name,
        title="MNIST-M (original)",
        class_names=DIGITS,
        shape=(size, size, 3),
        counts=COUNTS,
        build=partial(build_original, size=size),
        originals=(FOLDER, *mnist.ORIGINALS),
    )
    for name, size in (("mnist_m_original", 28), ("mnist_m_original_32", SIZE))
)
PAIRS = (
    PairEntry(source="mnist", target="mnist_m_original"),
    PairEntry(source="mnist_32", target="mnist_m_original_32"),
)
