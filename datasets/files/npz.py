"""Labelled samples in one `.npz` file."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetError, reading
from datasets.files.prepared import Arrays
from datasets.files.svmlight import whole_numbers


def read_npz(path: Path) -> tuple[tuple[str, ...], Arrays]:
    """Read `inputs` and `labels`, and if there are any `test_inputs`, `test_labels` and `class_names`.

    Returns:
        Class names, and `<split>_inputs` as uint8 `(N, H, W, C)` or float32 `(N, D)` with `<split>_labels`.
    """
    with reading(path), np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    names = {"inputs": "train_inputs", "labels": "train_labels"}
    found = {names.get(name) or name: array for name, array in found.items()}
    if not {"train_inputs", "train_labels"} <= set(found):
        raise DatasetError(f"{path} must hold inputs and labels, it holds {', '.join(found) or 'nothing'}")
    arrays: Arrays = {}
    for split in ("train", "test"):
        if f"{split}_inputs" in found:
            arrays[f"{split}_inputs"] = images_or_features(found[f"{split}_inputs"], path)
            with reading(path):
                arrays[f"{split}_labels"] = whole_numbers(found.get(f"{split}_labels", np.zeros(0)))
    if "class_names" in found:
        return tuple(map(str, found["class_names"].ravel())), arrays
    numbers = np.unique(arrays["train_labels"])
    if len(gaps := numbers[numbers != np.arange(len(numbers))]):
        raise DatasetError(f"{path}: labels must number the classes 0, 1, 2, … without a gap, got {gaps[0]}")
    return tuple(map(str, numbers)), arrays


def images_or_features(inputs: NDArray[Any], path: Path) -> NDArray[Any]:
    """Take uint8 images `(N, H, W)` or `(N, H, W, C)` and numbers `(N, D)`; refuse all else."""
    if inputs.dtype == np.uint8 and inputs.ndim == 3:
        return inputs[..., None]
    if inputs.dtype == np.uint8 and inputs.ndim == 4:
        return inputs
    if inputs.dtype.kind in "biuf" and inputs.ndim == 2:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused with its place
            return inputs.astype(np.float32)
    raise DatasetError(
        f"{path}: inputs must be uint8 (N, H, W), uint8 (N, H, W, C) or numbers (N, D), "
        f"got {inputs.dtype} of shape {inputs.shape}"
    )
