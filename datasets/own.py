"""Your own data as a domain: a folder of images, an `.npz` file, or a pair of `.svmlight` files."""

import os
from pathlib import Path

import numpy as np

from datasets.domains import check_free
from datasets.domains.added import describe, domain_from
from datasets.domains.base import Domain
from datasets.domains.preparing import check_arrays, check_presence
from datasets.errors import DatasetError
from datasets.files.image_folder import list_folder
from datasets.files.npz import read_npz
from datasets.files.preparation import prepare
from datasets.files.prepared import Arrays
from datasets.files.svmlight import read_svmlight

MAX_SIZE = 1024


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
    check_free(name)
    if not 1 <= size <= MAX_SIZE:
        raise DatasetError(f"size must be 1 to {MAX_SIZE}, got {size}")
    place = Path(path).expanduser().resolve()
    if not place.exists():
        raise DatasetError(f"{place} does not exist")
    tests = Path(test_path).expanduser().resolve() if test_path is not None else None
    class_names, arrays = read_own(place, tests, size)
    check_presence(name, arrays)
    facts = describe(name, class_names, arrays, str(place))
    if place.is_dir():
        facts["files"] = (str(place), tests and str(tests))
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
        photographs = list_folder(place, tests)
        return photographs.class_names, photographs.squash(size)
    if place.suffix == ".npz":
        if tests is not None:
            raise DatasetError(f"{place} must hold its test_inputs and test_labels itself; {tests} cannot be read")
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
