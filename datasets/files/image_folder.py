"""Images in one folder per class, decoded once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.errors import DatasetError, reading
from datasets.files.images import open_rgb
from datasets.files.prepared import Arrays

ENDINGS = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
HIDDEN = (".", "__")  # .ipynb_checkpoints, __MACOSX and the ._files in it


def is_image(path: Path) -> bool:
    """Tell an image by its name."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(HIDDEN)


def list_classes(folder: Path) -> tuple[str, ...]:
    """Name the classes of a folder: its folders, in the order of their names, those of the system left out."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder")
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(HIDDEN)))


def read_classes(
    folder: Path, class_names: Sequence[str], size: int, split: str = "train", *, turn: bool = True
) -> Arrays:
    """Decode the images of every class and resize them, squashed to a square.

    Args:
        folder: holds one folder for each class.
        class_names: these folders, in the order of the labels.
        size: side of the result in pixels.
        split: "train" or "test", for the names of the arrays.
        turn: photographs upright, if the camera noted how it was held; published sets are read as they are stored.

    Returns:
        `<split>_inputs` `(N, size, size, 3)` uint8 and `<split>_labels` `(N,)`, by class and then by file name.

    Raises:
        DatasetError: a class without images, or an image that cannot be decoded.
    """
    files = []
    for label, name in enumerate(class_names):
        found = sorted((folder / name).glob("*")) if (folder / name).is_dir() else []
        images = [(path, label) for path in found if is_image(path)]
        if not images and split == "train":
            raise DatasetError(f"{folder / name} holds no image ({', '.join(sorted(ENDINGS))})")
        files += images
    if not files:
        raise DatasetError(f"{folder} holds no image in the folders {', '.join(class_names)}")
    inputs = np.empty((len(files), size, size, 3), np.uint8)
    for i, (path, _) in enumerate(files):
        with reading(path):
            inputs[i] = np.asarray(open_rgb(path, turn=turn).resize((size, size), Image.Resampling.BILINEAR))
    return {f"{split}_inputs": inputs, f"{split}_labels": np.asarray([label for _, label in files], np.int64)}
