"""MNIST: handwritten digits."""

from pathlib import Path

import numpy as np

from datasets.domains.base import DIGITS, SPLITS, Domain, PairEntry
from datasets.errors import reading
from datasets.files.originals import Original
from datasets.files.prepared import Arrays
from datasets.resize import pad_images

URLS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
ORIGINALS = tuple(
    Original(
        path=f"MNIST/raw/{name}",
        urls=tuple(f"{url}{name}.gz" for url in URLS),
        checksum=f"md5:{md5}",
        kind="gzip",
    )
    for name, md5 in (
        ("train-images-idx3-ubyte", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte", "ec29112dd5afa0611ce80d1b7f02629c"),
    )
)


def build_mnist(root: Path) -> Arrays:
    """Handwritten digits, grey, 28 × 28: 60,000 for training and 10,000 for testing.

    Source: torchvision's MNIST; files MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte
    Licence: CC BY-SA 3.0
    Citation: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
        Proc. IEEE 86 (1998)
    """
    from torchvision.datasets import MNIST

    arrays: Arrays = {}
    with reading(root / "MNIST" / "raw"):
        for split in ("train", "test"):
            part = MNIST(root, train=split == "train", download=False)
            arrays[f"{split}_inputs"] = part.data.numpy()[..., None]
            arrays[f"{split}_labels"] = part.targets.numpy().astype(np.int64)
    return arrays


def build_mnist_32(root: Path) -> Arrays:
    """MNIST in the middle of 32 × 32 black pixels, as the first version of the paper and many later ones use it.

    Source: MNIST, see there
    Licence: CC BY-SA 3.0
    Citation: Ganin and Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", arXiv 1409.7495v1 (2014)
    """
    arrays = build_mnist(root)
    return arrays | {f"{split}_inputs": pad_images(arrays[f"{split}_inputs"], 32) for split in SPLITS}


DOMAINS = tuple(
    Domain(
        name=name,
        title=title,
        class_names=DIGITS,
        shape=(size, size, 1),
        counts=(60_000, 10_000),
        build=build,
        originals=ORIGINALS,
        digest=digest,
    )
    for name, title, size, build, digest in (
        ("mnist", "MNIST", 28, build_mnist, "8575306e94b5bcf28137a781dd9ad0b58d53230f9c428f8ef6dbece90de215ec"),
        (
            "mnist_32",
            "MNIST 32 × 32",
            32,
            build_mnist_32,
            "d103971448da64422a45dcdd5388fa7ac305d0a3521055c61c62d483194b0379",
        ),
    )
)
PAIRS = (PairEntry(source="mnist", target="svhn"), PairEntry(source="mnist", target="usps"))
