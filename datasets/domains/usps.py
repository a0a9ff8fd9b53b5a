"""USPS: digits from envelopes."""

from pathlib import Path

import numpy as np

from datasets.domains.base import DIGITS, SPLITS, Domain, PairEntry
from datasets.errors import reading
from datasets.files.originals import Original
from datasets.files.prepared import Arrays

ORIGINALS = tuple(
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


def build_usps(root: Path) -> Arrays:
    """Digits from envelopes, grey, 16 × 16: 7,291 for training and 2,007 for testing, scaled as torchvision does.

    A re-encoded copy of the files was compared with zip.train, the same scans as "The Elements of Statistical Learning"
    publishes them, as far as that was at hand (its 2,199 zeros and ones): all are there, 79 differ by 1 of 255.

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


def build_usps_padded(root: Path) -> Arrays:
    """USPS in a black frame of 6 pixels, 28 × 28, as skada-bench reads it: digits smaller than MNIST's, not blurred.

    Source: torchvision's USPS (LIBSVM's collection); files usps.bz2 and usps.t.bz2
    Licence: none stated; used in research since 1994
    Citation: Hull, "A database for handwritten text recognition research", PAMI 16 (1994)
    """
    arrays = build_usps(root)
    for split in SPLITS:
        arrays[f"{split}_inputs"] = np.pad(arrays[f"{split}_inputs"], ((0, 0), (6, 6), (6, 6), (0, 0)))
    return arrays


DOMAINS = tuple(
    Domain(
        name=name,
        title=title,
        class_names=DIGITS,
        shape=(size, size, 1),
        counts=(7_291, 2_007),
        build=build,
        originals=ORIGINALS,
    )
    for name, title, size, build in (
        ("usps", "USPS", 16, build_usps),
        ("usps_padded", "USPS (padded)", 28, build_usps_padded),
    )
)
PAIRS = (
    PairEntry(source="usps", target="mnist"),
    PairEntry(source="mnist", target="usps_padded"),
    PairEntry(source="usps_padded", target="mnist"),
)
