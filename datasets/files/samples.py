"""Samples with their labels out of one file: `.npz`, `.mat`, `.csv`, `.parquet` or `.svmlight`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetError, reading
from datasets.files.svmlight import read_svmlight, whole_numbers

TABLES, SPARSE = (".csv", ".parquet"), (".svmlight", ".libsvm")
ENDINGS = (".npz", ".mat", *TABLES, *SPARSE)


@dataclass(frozen=True, kw_only=True)
class Samples:
    """One split as it was found.

    Attributes:
        inputs: uint8 `(N, H, W, C)` or float32 `(N, D)`.
        labels: text or whole numbers, one for each input; whole numbers count the names from 0 where there are any.
        class_names: in the order of the labels; empty where the file does not say.
    """

    inputs: NDArray[Any]
    labels: NDArray[Any]
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the parts of a file are called.

    Attributes:
        inputs: the key of the samples; of a table, the column whose cells are lists of numbers. Empty means "inputs",
            or all columns of a table but the labels.
        labels: the key or the column of the labels.
        features: how many a line of an `.svmlight` file has; 0 for as many as are used in it.
    """

    inputs: str = ""
    labels: str = "labels"
    features: int = 0


def read_samples(path: Path, layout: Layout) -> dict[str, Samples]:
    """Read a file of samples.

    Returns:
        "train", and "test" where an `.npz` holds `test_inputs` and `test_labels`.

    Raises:
        DatasetError: not such a file, or nothing in it is called so.
    """
    if path.suffix in TABLES:
        return {"train": read_table(path, layout)}
    if path.suffix in (".npz", ".mat"):
        return read_keys(path, layout)
    inputs, labels = read_svmlight(path, layout.features or None)
    return {"train": Samples(inputs=inputs, labels=labels)}


def read_keys(path: Path, layout: Layout) -> dict[str, Samples]:
    """Read arrays that have names."""
    found = load_keys(path)
    inputs, labels = layout.inputs or "inputs", layout.labels
    if not {inputs, labels} <= set(found):
        raise DatasetError(
            f"{path} must hold {inputs} and {labels}, it holds {', '.join(found) or 'nothing'}; "
            "name them with --inputs and --labels"
        )
    names = tuple(map(str, found["class_names"].ravel())) if "class_names" in found else ()
    splits = {}
    for split, prefix in (("train", ""), ("test", "test_")):
        if prefix + inputs in found:
            with reading(path):
                known = label_values(found.get(prefix + labels, np.zeros(0)))
            samples = images_or_features(found[prefix + inputs], str(path))
            splits[split] = Samples(inputs=samples, labels=known, class_names=names)
    return splits


def load_keys(path: Path) -> dict[str, NDArray[Any]]:
    """Load all arrays of an `.npz` or of MATLAB's `.mat`; nothing that was pickled."""
    with reading(path):
        if path.suffix == ".mat":
            from scipy.io import loadmat

            return {name: array for name, array in loadmat(path).items() if not name.startswith("__")}
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def read_table(path: Path, layout: Layout) -> Samples:
    """Read a table whose rows are samples."""
    import pandas

    with reading(path):
        # A class may be called NA or null; an empty cell is refused below.
        is_text = path.suffix == ".csv"
        table = pandas.read_csv(path, keep_default_na=False) if is_text else pandas.read_parquet(path)
    columns = list(map(str, table.columns))
    for name in filter(None, (layout.labels, layout.inputs)):
        if name not in columns:
            few = ", ".join((*columns[:5], *(["…"] if len(columns) > 5 else [])))
            raise DatasetError(f"{path} has no column {name}, it has {few}; name them with --inputs and --labels")
    with reading(path):
        found = table.pop(layout.labels)
        if (empty := found.isna() | (found.astype(str).str.strip() == "")).any():
            raise ValueError(f"row {int(empty.to_numpy().argmax()) + 1} has no label")
        labels = label_values(found.to_numpy())
        if layout.inputs:
            inputs = np.stack([np.asarray(cell, np.float32) for cell in table[layout.inputs]])
        elif words := [name for name in table if not pandas.api.types.is_numeric_dtype(table[name])]:
            raise ValueError(f"column {words[0]} does not hold numbers; drop it, or name the labels with --labels")
        else:
            inputs = table.to_numpy(np.float64)
    return Samples(inputs=images_or_features(inputs, str(path)), labels=labels)


def label_values(labels: NDArray[Any]) -> NDArray[Any]:
    """Flatten labels: numbers to int64 where that loses nothing, all else to text.

    Raises:
        ValueError: a label is not a whole number.
    """
    if labels.dtype.kind not in "biuf":
        return np.asarray([str(each) for each in labels.ravel()])
    return whole_numbers(labels.ravel())


def images_or_features(inputs: NDArray[Any], place: str) -> NDArray[Any]:
    """Take uint8 images `(N, H, W)` or `(N, H, W, C)` and numbers `(N, D)`; refuse all else."""
    if inputs.dtype == np.uint8 and inputs.ndim == 3:
        return inputs[..., None]
    if inputs.dtype == np.uint8 and inputs.ndim == 4:
        return inputs
    if inputs.dtype.kind in "biuf" and inputs.ndim == 2:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused with its place
            return inputs.astype(np.float32)
    raise DatasetError(
        f"{place}: inputs must be uint8 (N, H, W), uint8 (N, H, W, C) or numbers (N, D), "
        f"got {inputs.dtype} of shape {inputs.shape}"
    )
