"""MNIST: handwritten digits."""

from pathlib import Path

import numpy as np

from datasets.domains.base import DIGITS, Domain, PairEntry
from datasets.errors import reading
from datasets.files.originals import Original
from datasets.files.prepared import Arrays

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


DOMAINS = (
    Domain(
        name="mnist",
        title="MNIST",
        class_names=DIGITS,
        shape=(28, 28, 1),
        counts=(60_000, 10_000),
        build=build_mnist,
        originals=ORIGINALS,
        digest="8575306e94b5bcf28137a781dd9ad0b58d53230f9c428f8ef6dbece90de215ec",
    ),
)
PAIRS = tuple(PairEntry(source="mnist", target=target) for target in ("mnist_m", "mnist_m_binarised", "svhn", "usps"))
