"""Your own data as a domain: images in folders or lists, samples in files, arrays and data sets in memory."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.domains import check_free
from datasets.domains.added import describe, domain_from
from datasets.domains.base import Domain
from datasets.domains.preparing import check_arrays, check_presence
from datasets.errors import DatasetError, reading
from datasets.files.classes import number_classes
from datasets.files.image_list import ENDINGS as LISTS
from datasets.files.image_list import list_images
from datasets.files.photographs import squash
from datasets.files.preparation import prepare
from datasets.files.samples import (
    ENDINGS,
    SPARSE,
    Layout,
    Samples,
    column_names,
    images_or_features,
    in_columns_of,
    label_values,
    read_samples,
)

MAX_SIZE = 1024
MEMORY = "data in memory"


class Indexed(Protocol):
    """A data set as PyTorch defines it: a length, and a sample with its label at each index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


Source = str | os.PathLike[str] | tuple[Any, Any] | Indexed


def add_domain(
    name: str,
    source: Source,
    test_source: Source | None = None,
    *,
    size: int = 32,
    class_names: Sequence[str] = (),
    layout: Layout | None = None,
    root: str | os.PathLike[str] | None = None,
) -> Domain:
    """Prepare your own data under a name; from then on `load_pair("<name>_to_<other>")` finds it.

    Args:
        name: lower-case letters, digits and underscores.
        source: a folder with one folder of images per class (or with `train/` and `test/` above them); a `.txt` list of
            images, `path label` on each line; samples in a file (`Layout` says what is called how; an `.npz` may hold
            `test_inputs`, `test_labels` and `class_names`, too); `(inputs, labels)` in memory; a data set of PyTorch.
        test_source: the same for testing, where `source` does not hold it. Without any, the usual protocol is
            transductive.
        size: side that images of files and of data sets are resized to, in pixels.
        class_names: the classes to keep, in this order; of labels that are only numbers, their names in ascending
            order. Default all.
        layout: what the parts of a file are called.
        root: where the paths of a list begin; default its folder.

    Returns:
        The domain.

    Raises:
        DatasetError: a name that is taken or malformed, or data that cannot be used.
    """
    check_free(name)
    if not 1 <= size <= MAX_SIZE:
        raise DatasetError(f"size must be 1 to {MAX_SIZE}, got {size}")
    files: tuple[Any, ...] | None = None
    columns: tuple[str, ...] = ()
    class_names = tuple(map(str, class_names))
    if isinstance(source, (str, os.PathLike)):
        place, tests, base = locate(source), locate(test_source), locate(root)
        origin = str(place)
        ending = place.suffix.lower()
        if place.is_dir() or ending in LISTS:
            photographs = list_images(place, tests, base, class_names)
            names, arrays = photographs.class_names, photographs.squash(size)
            files = (origin, tests and str(tests), base and str(base), list(class_names))
        elif ending in ENDINGS:
            splits = read_samples(place, layout or Layout())
            if tests is not None:
                test = read_samples(tests, layout or Layout())["train"]
                splits["test"] = in_columns_of(splits["train"], test, str(tests))
            names, arrays = number_classes(pad(splits) if ending in SPARSE else splits, class_names, origin)
            columns = splits["train"].columns
        else:
            raise DatasetError(f"{place} must be a folder of images, a list (.txt), or one of {', '.join(ENDINGS)}")
    else:
        origin = f"{type(source).__qualname__} in Python"
        splits = {"train": read_memory(source, size)}
        if test_source is not None:
            splits["test"] = in_columns_of(splits["train"], read_memory(test_source, size), MEMORY)
        names, arrays = number_classes(splits, class_names, origin)
        columns = splits["train"].columns
    check_presence(name, arrays)
    facts = describe(name, names, arrays, origin)
    facts |= ({"files": files} if files else {}) | ({"columns": columns} if columns else {})
    domain = domain_from(facts)
    check_arrays(domain, arrays)
    prepare(name, facts, lambda: arrays, again=True)
    return domain


def locate(path: Any) -> Any:
    """Find a file or folder.

    Returns:
        Its path from the root; None of None.

    Raises:
        DatasetError: it is not there, or no file can be called so.
    """
    if path is None:
        return None
    with reading(path):
        place = Path(path).expanduser().resolve()
        exists = place.exists()
    if not exists:
        raise DatasetError(f"{place} does not exist")
    return place


def pad(splits: dict[str, Samples]) -> dict[str, Samples]:
    """Give sparse files one length: features that only one of them uses are 0 in the other."""
    if len({samples.inputs.shape[1] for samples in splits.values()}) == 1:
        return splits
    width = max(samples.inputs.shape[1] for samples in splits.values())
    return {
        split: replace(samples, inputs=np.pad(samples.inputs, ((0, 0), (0, width - samples.inputs.shape[1]))))
        for split, samples in splits.items()
    }


def read_memory(source: Any, size: int) -> Samples:
    """Read arrays or a data set.

    Raises:
        DatasetError: it is neither, or its samples are no images and no features.
    """
    if isinstance(source, tuple) and len(source) == 2:
        inputs, labels = source
        with reading(MEMORY):
            return Samples(
                inputs=images_or_features(np.asarray(inputs), MEMORY),
                labels=label_values(as_labels(labels)),
                columns=column_names(getattr(inputs, "columns", ())),
            )
    if not (hasattr(source, "__len__") and hasattr(source, "__getitem__")):
        raise DatasetError(f"source must be a path, (inputs, labels), or have a length and an index, got {source!r}")
    pairs = [source[i] for i in range(len(source))]
    if bad := [pair for pair in pairs if not (isinstance(pair, tuple) and len(pair) == 2)]:
        raise DatasetError(f"each sample of a data set must be (input, label), got {type(bad[0]).__name__}")
    inputs = [read_sample(value, size) for value, _ in pairs]
    if len(shapes := {each.shape for each in inputs}) > 1:
        raise DatasetError(
            f"samples of a data set must have one shape, got {' and '.join(map(str, sorted(shapes)[:2]))}"
        )
    with reading(MEMORY):
        labels = label_values(as_labels([label for _, label in pairs]))
    return Samples(
        inputs=images_or_features(np.asarray(inputs), MEMORY),
        labels=labels,
        class_names=tuple(map(str, getattr(source, "classes", ()))) if labels.dtype.kind == "i" else (),
    )


def as_labels(labels: Any) -> NDArray[Any]:
    """Take labels as an array; words keep a NaN among them as what it is."""
    array = np.asarray(labels)
    return np.asarray(labels, object) if array.dtype.kind in "SU" else array


def read_sample(value: Any, size: int) -> NDArray[Any]:
    """Take one sample of a data set: features `(D,)` as they are; images as RGB, resized to a square.

    Args:
        value: features, a Pillow image, or pixels `(H, W)`, `(H, W, C)` or `(C, H, W)`: bytes, or fractions in [0, 1].
        size: side of the result in pixels.

    Raises:
        DatasetError: pixels of another scale or shape.
    """
    if isinstance(value, Image.Image):
        return squash(value.convert("RGB"), size)
    pixels = np.asarray(value)
    if pixels.ndim == 1:
        return pixels
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[2] not in (1, 3):
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3)):
        raise DatasetError(f"a sample must be features (D,) or pixels of 1 or 3 channels, got shape {pixels.shape}")
    if pixels.dtype != np.uint8:
        if pixels.dtype.kind != "f":
            raise DatasetError(f"pixels must be bytes, or fractions in [0, 1], got {pixels.dtype}")
        if not (pixels.min() >= 0 and pixels.max() <= 1):
            raise DatasetError(
                f"pixels that are fractions must lie in [0, 1], got {pixels.min():.3g} to {pixels.max():.3g}; "
                "leave out what normalises them"
            )
        pixels = np.rint(pixels * 255).astype(np.uint8)
    return squash(Image.fromarray(pixels.squeeze(2) if pixels.shape[2:] == (1,) else pixels).convert("RGB"), size)
