"""Image files with their labels: listed first, decoded when they are needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.errors import reading
from datasets.files.classes import choose_classes
from datasets.files.images import open_rgb
from datasets.files.prepared import Arrays


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """What a domain of images is decoded from.

    Attributes:
        class_names: in the order of the labels.
        files: `(path, label)` of each split ("train", "test"), in the order of its samples.
        turn: photographs upright, if the camera noted how it was held; published sets are read as they are stored.
    """

    class_names: tuple[str, ...]
    files: Mapping[str, Sequence[tuple[Path, int]]]
    turn: bool = True

    def choose(self, wanted: Sequence[str], place: str) -> "Photographs":
        """Keep or name classes, as `choose_classes` does."""
        names, kept = choose_classes(self.class_names, wanted, place)
        files = {
            split: [(path, kept.index(label)) for path, label in files if label in kept]
            for split, files in self.files.items()
        }
        return replace(self, class_names=names, files=files)

    def open(self, path: Path) -> Image.Image:
        """Decode one of the files in RGB, as large as it is.

        Raises:
            DatasetError: it cannot be decoded.
        """
        with reading(path):
            return open_rgb(path, turn=self.turn)

    def squash(self, size: int) -> Arrays:
        """Decode all files and resize them to squares.

        Args:
            size: side of the result in pixels.

        Returns:
            `<split>_inputs` `(N, size, size, 3)` uint8 and `<split>_labels` `(N,)`.

        Raises:
            DatasetError: a file that cannot be decoded.
        """
        arrays: Arrays = {}
        for split, files in self.files.items():
            arrays[f"{split}_inputs"] = inputs = np.empty((len(files), size, size, 3), np.uint8)
            arrays[f"{split}_labels"] = np.asarray([label for _, label in files], np.int64)
            for i, (path, _) in enumerate(files):
                inputs[i] = squash(self.open(path), size)
        return arrays


def squash(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Resize an image to a square, whatever its proportions, `(size, size, 3)`."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
