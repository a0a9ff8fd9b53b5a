"""Traffic signs: photographed ones (GTSRB) and drawn ones (Synthetic Signs), cropped to 40 × 40."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.batches.streams import permutation
from datasets.domains.base import Domain, PairEntry
from datasets.errors import DatasetError, reading
from datasets.files.images import open_rgb
from datasets.files.originals import Original
from datasets.files.prepared import Arrays

SIZE = 40
# GTSRB's class ids 0 … 42, in words.
SIGNS = (
    *(f"speed limit {speed}" for speed in (20, 30, 50, 60, 70, 80)),
    "end of speed limit 80",
    *("speed limit 100", "speed limit 120", "no passing", "no passing for trucks", "right of way", "priority road"),
    *("yield", "stop", "no vehicles", "no trucks", "no entry", "danger", "curve left", "curve right", "double curve"),
    *("bumpy road", "slippery road", "road narrows", "road works", "traffic signals", "pedestrians", "children"),
    *("bicycles", "ice or snow", "wild animals", "end of all limits", "turn right", "turn left", "straight ahead"),
    *("straight or right", "straight or left", "keep right", "keep left", "roundabout", "end of no passing"),
    "end of no passing for trucks",
)
# JMLR 17 (2016): 31,367 random training images adapt, the other 7,842 evaluate.
GTSRB_TRAIN, GTSRB_TEST = 31_367, 7_842
SYN_TRAIN, SYN_TEST = 90_000, 10_000

GTSRB = Original(
    path="gtsrb/GTSRB/Training",
    also=("gtsrb/GTSRB/Final_Training/Images", "gtsrb/raw_subset/Final_Training/Images"),
    urls=("https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/GTSRB-Training_fixed.zip",),
    checksum="md5:513f3c79a4c5141765e10e952eaa2478",
    kind="zip",
    member="GTSRB/Training",
)
SYN_SIGNS = Original(
    path="synsigns/train_labelling.txt",
    manual="ask the authors of Synthetic Signs for it and unpack train_labelling.txt and the folder train together",
)


def build_gtsrb(root: Path) -> Arrays:
    """Photographed German traffic signs, 43 classes: the region of interest of each of the 39,209 training images.

    The region (both corners included) is resized to 40 × 40. As in the paper, 31,367 random images adapt and the other
    7,842 evaluate; the choice is ours and fixed. The benchmark's own test images are not used. A part of the images is
    accepted and divided in the same proportion.

    Source: the archive that torchvision's GTSRB uses; files <class>/*.ppm with regions in <class>/GT-<class>.csv
    Licence: research use
    Citation: Stallkamp, Schlipsing, Salmen and Igel, "Man vs. computer: Benchmarking machine learning algorithms for
        traffic sign recognition", Neural Networks 32 (2012)
    """
    folder = GTSRB.find(root) or root / GTSRB.path
    images, labels = [], []
    for label in range(len(SIGNS)):
        table = folder / f"{label:05d}" / f"GT-{label:05d}.csv"
        with reading(table), table.open(newline="") as file:
            rows = sorted(csv.DictReader(file, delimiter=";"), key=lambda row: row["Filename"])
            regions = [tuple(int(row[f"Roi.{side}"]) for side in ("X1", "Y1", "X2", "Y2")) for row in rows]
        for row, (left, top, right, bottom) in zip(rows, regions, strict=True):
            images.append(read_sign(table.parent / row["Filename"], (left, top, right + 1, bottom + 1)))
            labels.append(label)
    return divide(images, labels, GTSRB_TEST / (GTSRB_TRAIN + GTSRB_TEST), "gtsrb split")


def build_syn_signs(root: Path) -> Arrays:
    """Drawn traffic signs on photographs, 40 × 40, the same 43 classes: 90,000 of 100,000 for training.

    Which 10,000 are kept for testing on the source is our choice and fixed. A part of the images is accepted and
    divided in the same proportion.

    Source: the authors; files synsigns/train_labelling.txt (path, class, …) and synsigns/train/*.png. No public mirror
    Licence: research use
    Citation: Moiseev, Konev, Chigorin and Konushin, "Evaluation of Traffic Sign Recognition Methods Trained on
        Synthetically Generated Data", ACIVS (2013)
    """
    table = root / SYN_SIGNS.path
    with reading(table):
        lines = [line.split() for line in table.read_text().splitlines()]
        # A set: an image that is listed twice must not end up on both sides of the split.
        rows = sorted({(int(Path(name).stem), name, int(label)) for name, label, *_ in lines})
    images = [read_sign(table.parent / name) for _, name, _ in rows]
    return divide(images, [label for *_, label in rows], SYN_TEST / (SYN_TRAIN + SYN_TEST), "syn_signs split")


def read_sign(path: Path, region: tuple[int, int, int, int] | None = None) -> NDArray[np.uint8]:
    """Read one image, cut to its region, `(40, 40, 3)`."""
    with reading(path):
        image = open_rgb(path)
        if region and not (0 <= region[0] < region[2] <= image.width and 0 <= region[1] < region[3] <= image.height):
            raise DatasetError(f"{path}: region {region} is not inside {image.width} × {image.height} pixels")
        # First cut, then resized: a box given to `resize` would mix in what surrounds it.
        cut = image.crop(region) if region else image
        return np.asarray(cut.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def divide(images: list[NDArray[np.uint8]], labels: list[int], test_share: float, name: str) -> Arrays:
    """Set a random share aside for testing, each part in its original order."""
    order = permutation(0, name, len(images))
    tests = round(len(images) * test_share)
    arrays: Arrays = {}
    for split, part in (("train", order[tests:]), ("test", order[:tests])):
        part.sort()
        arrays[f"{split}_inputs"] = np.stack([images[i] for i in part])
        arrays[f"{split}_labels"] = np.asarray(labels, np.int64)[part]
    return arrays


DOMAINS = tuple(
    Domain(
        name=name,
        title=title,
        class_names=SIGNS,
        shape=(SIZE, SIZE, 3),
        counts=counts,
        build=build,
        originals=(original,),
        partial=True,
    )
    for name, title, counts, build, original in (
        ("syn_signs", "Syn Signs", (SYN_TRAIN, SYN_TEST), build_syn_signs, SYN_SIGNS),
        ("gtsrb", "GTSRB", (GTSRB_TRAIN, GTSRB_TEST), build_gtsrb, GTSRB),
    )
)
PAIRS = (
    PairEntry(
        source="syn_signs",
        target="gtsrb",
        protocol="inductive: labelled source training split, 31,367 random GTSRB training images without labels, "
        "accuracy on the other 7,842",
    ),
)
