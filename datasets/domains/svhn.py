"""SVHN: house numbers photographed from the street."""

from pathlib import Path

import numpy as np

from datasets.domains.base import DIGITS, Domain, PairEntry
from datasets.errors import reading
from datasets.files.originals import Original
from datasets.files.prepared import Arrays

ORIGINALS = tuple(
    Original(path=name, urls=(f"http://ufldl.stanford.edu/housenumbers/{name}",), checksum=f"md5:{md5}")
    for name, md5 in (
        ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
        ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
    )
)


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


DOMAINS = (
    Domain(
        name="svhn",
        title="SVHN",
        class_names=DIGITS,
        shape=(32, 32, 3),
        counts=(73_257, 26_032),
        build=build_svhn,
        originals=ORIGINALS,
    ),
)
PAIRS = (PairEntry(source="svhn", target="mnist"),)
