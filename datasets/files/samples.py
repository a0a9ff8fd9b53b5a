"""Samples with their labels out of one file: `.npz`, `.mat`, `.csv`, `.parquet` or `.svmlight`."""

import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetError, reading, shorten
from datasets.files.svmlight import read_svmlight, whole_numbers, write_out

TABLES, SPARSE = (".csv", ".parquet"), (".svmlight", ".libsvm")
ENDINGS = (".npz", ".mat", *TABLES, *SPARSE)


@dataclass(frozen=True, kw_only=True)
class Samples:
    """One split as it was found.

    Attributes:
        inputs: uint8 `(N, H, W, C)` or float32 `(N, D)`.
        labels: text or whole numbers, one for each input; whole numbers count the names from 0 where there are any.
        class_names: in the order of the labels; empty where the file does not say.
        columns: names of the features, where they came as the columns of a table.
    """

    inputs: NDArray[Any]
    labels: NDArray[Any]
    class_names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


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
    if (ending := path.suffix.lower()) in TABLES:
        return {"train": read_table(path, layout)}
    if ending in (".npz", ".mat"):
        return read_keys(path, layout)
    inputs, labels = read_svmlight(path, layout.features or None)
    return {"train": Samples(inputs=inputs, labels=labels)}


def read_keys(path: Path, layout: Layout) -> dict[str, Samples]:
    """Read arrays that have names."""
    found = load_keys(path)
    inputs, labels = layout.inputs or "inputs", layout.labels
    check_distinct(inputs, labels)
    if not {inputs, labels} <= set(found):
        raise DatasetError(
            f"{path} must hold {inputs} and {labels}, it holds {', '.join(found) or 'nothing'}; "
            "name them with --inputs and --labels"
        )
    with reading(path):
        names = tuple(texts(plain(found["class_names"]))) if "class_names" in found else ()
    splits = {}
    for split, prefix in (("train", ""), ("test", "test_")):
        if prefix + inputs in found:
            with reading(path):
                known = label_values(plain(found.get(prefix + labels, np.zeros(0))))
                samples = images_or_features(plain(found[prefix + inputs]), str(path))
            splits[split] = Samples(inputs=samples, labels=known, class_names=names)
    return splits


def check_distinct(inputs: str, labels: str) -> None:
    """Refuse labels that are to be the samples, too."""
    if inputs == labels:
        raise DatasetError(f"--inputs and --labels must name two things, got {labels} for both")


def load_keys(path: Path) -> dict[str, Any]:
    """Load all arrays of an `.npz` or of MATLAB's `.mat`, sparse ones as they are; nothing that was pickled."""
    with reading(path):
        if path.suffix.lower() == ".mat":
            from scipy.io import loadmat

            return {name: array for name, array in loadmat(path).items() if not name.startswith("__")}
        if not zipfile.is_zipfile(path):
            raise ValueError("it is not an .npz archive, as numpy.savez writes it")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def plain(value: Any) -> NDArray[Any]:
    """Write out what is sparse, and take out what MATLAB keeps in cells.

    Raises:
        ValueError: it would fill the memory, or the cells hold arrays of different shapes.
    """
    if hasattr(value, "toarray"):
        return write_out(value)

    def take_out(cell: Any) -> Any:
        if not isinstance(cell, np.ndarray) or cell.size > 1:
            return cell
        return take_out(cell.item()) if cell.size else ""

    return np.asarray([take_out(cell) for cell in value.ravel()]) if value.dtype == object else value


def read_table(path: Path, layout: Layout) -> Samples:
    """Read a table whose rows are samples."""
    import pandas

    check_distinct(layout.inputs, layout.labels)
    with reading(path):
        # A class may be called NA or null; an empty cell is refused below.
        is_text = path.suffix.lower() == ".csv"
        table = pandas.read_csv(path, keep_default_na=False) if is_text else pandas.read_parquet(path)
    columns = list(map(str, table.columns))
    for name in filter(None, (layout.labels, layout.inputs)):
        if name not in columns:
            raise DatasetError(
                f"{path} has no column {name}, it has {shorten(columns)}; name them with --inputs and --labels"
            )
    with reading(path):
        if table.empty:
            raise ValueError("it holds no sample")
        found = table.pop(layout.labels)
        if (empty := found.isna() | (found.astype(str).str.strip() == "")).any():
            raise ValueError(f"row {int(empty.to_numpy().argmax()) + 1} has no label")
        labels = label_values(found.to_numpy())
        if layout.inputs:
            inputs, names = np.stack([np.asarray(cell, np.float32) for cell in table[layout.inputs]]), ()
        else:
            names = column_names(table.columns)
            for name in table:
                check_numbers(table[name])
            inputs = table.to_numpy(np.float64)
    return Samples(inputs=images_or_features(inputs, str(path)), labels=labels, columns=names)


def column_names(columns: Iterable[Any]) -> tuple[str, ...]:
    """Name the columns of a table that are features.

    Raises:
        ValueError: one has no name, as the number of the row that pandas writes in front: of sorted samples it tells
            the class.
    """
    names = tuple(map(str, columns))
    for number, name in enumerate(names, 1):
        if not name.strip() or re.fullmatch(r"Unnamed: \d+", name):
            raise ValueError(f"column {number} of the features has no name; drop it (pandas: index=False), or name it")
    return names


def check_numbers(column: Any) -> None:
    """Refuse a column that does not hold numbers alone.

    Raises:
        ValueError: it does not; names the row where only some of them are none.
    """
    import pandas

    if pandas.api.types.is_numeric_dtype(column):
        return
    if isinstance(column.iloc[0], (list, np.ndarray)):
        raise ValueError(f"column {column.name} holds lists; take them as the samples with --inputs {column.name}")
    bad = pandas.to_numeric(column, errors="coerce").isna().to_numpy()
    if bad.any() and not bad.all():
        row = int(bad.argmax())
        raise ValueError(f"row {row + 1} must have a number in column {column.name}, got {column.iloc[row]!r}")
    raise ValueError(f"column {column.name} does not hold numbers; drop it, or name the labels with --labels")


def in_columns_of(train: Samples, test: Samples, place: str) -> Samples:
    """Put the features of a test split in the order of training, where both name them.

    Raises:
        DatasetError: the names differ.
    """
    if test.columns == train.columns or not (train.columns and test.columns):
        return test
    if sorted(test.columns) != sorted(train.columns):
        lacking, strange = set(train.columns) - set(test.columns), set(test.columns) - set(train.columns)
        raise DatasetError(
            f"{place}: columns of the test split must be those of training, "
            f"it lacks {shorten(sorted(lacking)) or 'none'} and has {shorten(sorted(strange)) or 'none'} besides"
        )
    order = np.empty(len(train.columns), np.intp)
    order[np.argsort(train.columns, kind="stable")] = np.argsort(test.columns, kind="stable")
    return replace(test, inputs=test.inputs[:, order], columns=train.columns)


def label_values(labels: NDArray[Any]) -> NDArray[Any]:
    """Flatten labels: numbers to int64 where that loses nothing, all else to text.

    Raises:
        ValueError: a label is missing, or a number that is not whole.
    """
    if labels.dtype.kind in "biuf":
        return whole_numbers(labels.ravel())
    import pandas

    words = texts(labels)
    for number, (word, missing) in enumerate(zip(words, pandas.isna(labels.ravel()), strict=True)):
        if missing or not word.strip():
            raise ValueError(f"labels must not be missing, sample {number} has {word!r}")
    return np.asarray(words)


def texts(values: NDArray[Any]) -> list[str]:
    """Write values as text, bytes decoded."""
    return [each.decode() if isinstance(each, bytes) else str(each) for each in values.ravel()]


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
