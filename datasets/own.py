"""Your own data as a domain: a folder of images, an `.npz` file, or a pair of `.svmlight` files."""

import os
from pathlib import Path

import numpy as np

from datasets.domains import DOMAINS
from datasets.domains.added import describe, domain_from
from datasets.domains.base import Domain, check_name
from datasets.domains.preparing import check_arrays
from datasets.errors import DatasetError, reading
from datasets.files.image_folder import list_classes, read_classes
from datasets.files.preparation import prepare
from datasets.files.prepared import Arrays
from datasets.files.svmlight import read_svmlight, whole_numbers


def add_domain(
    name: str,
    path: str | os.PathLike[str],
    test_path: str | os.PathLike[str] | None = None,
    *,
    size: int = 32,
) -> Domain:
    """Prepare your own data under a name; from then on `load_pair("<name>_to_<other>")` finds it.

    Args:
        name: lower-case letters, digits and underscores.
        path: a folder with one folder of images per class (or with `train/` and `test/` above them); an `.npz` file
            with `inputs` and `labels` (and `test_inputs`, `test_labels`; `class_names` if they have names); or an
            `.svmlight` file.
        test_path: the same for testing, where `path` does not hold it. Without any, the usual protocol is transductive.
        size: side that images of a folder are resized to, in pixels.

    Returns:
        The domain.

    Raises:
        DatasetError: a name that is taken or malformed, or data that cannot be used.
    """
    check_name(name)
    if name in DOMAINS:
        raise DatasetError(f"name {name!r} belongs to a domain of {DOMAINS[name].origin or 'this repository'}")
    if size < 1:
        raise DatasetError(f"size must be at least 1, got {size}")
    place = Path(path).expanduser().resolve()
    if not place.exists():
        raise DatasetError(f"{place} does not exist")
    tests = Path(test_path).expanduser().resolve() if test_path is not None else None
    class_names, arrays = read_own(place, tests, size)
    facts = describe(name, class_names, arrays, place)
    domain = domain_from(facts)
    check_arrays(domain, arrays)
    prepare(name, facts, lambda: arrays, again=True)
    return domain


def read_own(place: Path, tests: Path | None, size: int) -> tuple[tuple[str, ...], Arrays]:
    """Read a folder, an `.npz` or an `.svmlight` file.

    Returns:
        Class names and arrays.
    """
    if place.is_dir():
        inner = place / "train" if (place / "train").is_dir() else place
        tests = tests or (place / "test" if inner != place and (place / "test").is_dir() else None)
        class_names = list_classes(inner)
        if len(class_names) < 2:
            raise DatasetError(f"{inner} must hold at least two folders, one per class; it holds {len(class_names)}")
        arrays = read_classes(inner, class_names, size)
        if tests is not None:
            if unknown := set(list_classes(tests)) - set(class_names):
                raise DatasetError(f"{tests}: class {min(unknown)!r} does not occur in {inner}")
            arrays |= read_classes(tests, class_names, size, split="test")
        return class_names, arrays
    if place.suffix == ".npz":
        return read_npz(place)
    if place.suffix in (".svmlight", ".libsvm"):
        inputs, labels = read_svmlight(place)
        values, numbers = np.unique(labels, return_inverse=True)
        arrays = {"train_inputs": inputs, "train_labels": numbers.astype(np.int64)}
        if tests is not None:
            arrays["test_inputs"], labels = read_svmlight(tests, inputs.shape[1])
            if not np.isin(labels, values).all():
                raise DatasetError(f"{tests}: label {np.setdiff1d(labels, values)[0]} does not occur in {place}")
            arrays["test_labels"] = np.searchsorted(values, labels)
        return tuple(map(str, values)), arrays
    raise DatasetError(f"{place} must be a folder of images, an .npz or an .svmlight file")


def read_npz(path: Path) -> tuple[tuple[str, ...], Arrays]:
    """Read `inputs` and `labels`, and if there are any `test_inputs`, `test_labels` and `class_names`."""
    with reading(path), np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    names = {"inputs": "train_inputs", "labels": "train_labels"}
    found = {names.get(name, name): array for name, array in found.items()}
    if not {"train_inputs", "train_labels"} <= set(found):
        raise DatasetError(f"{path} must hold inputs and labels, it holds {', '.join(found) or 'nothing'}")
    arrays: Arrays = {}
    for split in ("train", "test"):
        if f"{split}_inputs" not in found:
            continue
        with reading(path):
            inputs, labels = found[f"{split}_inputs"], found.get(f"{split}_labels", np.zeros(0))
            if inputs.dtype != np.uint8:
                inputs = inputs.astype(np.float32)
            elif inputs.ndim == 3:
                inputs = inputs[..., None]  # grey images without a channel
            arrays[f"{split}_inputs"], arrays[f"{split}_labels"] = inputs, whole_numbers(labels)
    inputs, labels = arrays["train_inputs"], arrays["train_labels"]
    if (inputs.dtype == np.uint8) != (inputs.ndim == 4) or inputs.ndim not in (2, 4):
        raise DatasetError(
            f"{path}: inputs must be uint8 (N, H, W), uint8 (N, H, W, C) or numbers (N, D), "
            f"got {inputs.dtype} of shape {inputs.shape}"
        )
    if not len(labels):
        raise DatasetError(f"{path}: there is no training sample")
    class_names = found.get("class_names", np.arange(int(labels.max()) + 1))
    return tuple(str(name) for name in class_names), arrays
