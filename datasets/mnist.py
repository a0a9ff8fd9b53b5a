"""Digits that torchvision can read: MNIST, USPS and Street View House Numbers."""

from pathlib import Path

import numpy as np

from datasets.errors import reading
from datasets.originals import Original
from datasets.prepared import Arrays

MNIST_URLS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
MNIST = tuple(
    Original(
        path=f"MNIST/raw/{name}",
        urls=tuple(f"{url}{name}.gz" for url in MNIST_URLS),
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
USPS = tuple(
    Original(
        path=name,
        urls=(f"https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/{name}",),
        checksum=f"md5:{md5}",
    )
    for name, md5 in (
        ("usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197"),
        ("usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118"),
    )
)
SVHN = tuple(
    Original(path=name, urls=(f"http://ufldl.stanford.edu/housenumbers/{name}",), checksum=f"md5:{md5}")
    for name, md5 in (
        ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
        ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
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


def build_usps(root: Path) -> Arrays:
    """Digits from envelopes, grey, 16 × 16: 7,291 for training and 2,007 for testing, scaled as torchvision does.

    Source: torchvision's USPS (LIBSVM's collection); files usps.bz2 and usps.t.bz2
    Licence: none stated; used in research since 1994
    Citation: Hull, "A database for handwritten text recognition research", PAMI 16 (1994)
    """
    from torchvision.datasets import USPS

    arrays: Arrays = {}
    for split, file in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        with reading(root / file):
            part = USPS(root, train=split == "train", download=False)
        arrays[f"{split}_inputs"] = np.asarray(part.data, np.uint8)[..., None]
        arrays[f"{split}_labels"] = np.asarray(part.targets, np.int64)
    return arrays


def build_svhn(root: Path) -> Arrays:
    """House numbers photographed from the street, cropped to one digit, colour, 32 × 32: 73,257 and 26,032.

    Source: torchvision's SVHN; files train_32x32.mat and test_32x32.mat (the "extra" set is not used)
    Licence: non-commercial use
    Citation: Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", NIPS workshop (2011)
    """
    from torchvision.datasets import SVHN

    arrays: Arrays = {}
    for split in ("train", "test"):
        with reading(root / f"{split}_32x32.mat"):
            part = SVHN(root, split=split, download=False)
        arrays[f"{split}_inputs"] = np.ascontiguousarray(part.data.transpose(0, 2, 3, 1))
        arrays[f"{split}_labels"] = np.asarray(part.labels, np.int64)
    return arrays
