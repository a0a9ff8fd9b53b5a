"""From the original files of a domain to its prepared file, checked before it counts."""

import os
import warnings

import numpy as np

from datasets.domains.base import SPLITS, Domain
from datasets.errors import DatasetError
from datasets.files.folders import data_root
from datasets.files.preparation import open_current, prepare
from datasets.files.prepared import Arrays, Prepared, digest_of


def open_if_current(domain: Domain) -> Prepared | None:
    """Open the prepared file of a domain if there is one and this version of the domain made it. Reads no sample."""
    return open_current(domain.name, domain.facts)


def prepare_domain(domain: Domain, root: str | os.PathLike[str] | None = None, again: bool = False) -> Prepared:
    """Open the prepared file of a domain; make it first if it is missing or old. Never downloads.

    Args:
        domain: what to prepare.
        root: where the original files lie; see `data_root`.
        again: make it even if it is there.

    Returns:
        The opened file.

    Raises:
        DatasetError: an original file is missing or bad, or the disk refuses. No half-made file is left behind.
    """
    if not again and (prepared := open_if_current(domain)):
        return prepared
    folder = data_root(root)
    if missing := domain.missing(folder):
        advice = f"fetch it with: python -m datasets prepare {domain.name}" if missing.urls else missing.manual
        raise DatasetError(f"{domain.name} needs {missing.path}, which is not in {folder}; {advice}")

    def make() -> Arrays:
        arrays = domain.build(folder)
        check_arrays(domain, arrays)
        check_digest(domain, arrays)
        return arrays

    return prepare(domain.name, domain.facts, make, again)


def check_arrays(domain: Domain, arrays: Arrays) -> None:
    """Refuse arrays that would spoil a run later.

    Raises:
        DatasetError: no arrays, a shape or type other than declared, channels in front, lengths that differ, a label
            outside the classes, a class without a training sample, or a feature that is not finite.
    """
    if not isinstance(arrays, dict) or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        given = [type(each).__name__ for each in (arrays.values() if isinstance(arrays, dict) else [arrays])]
        raise DatasetError(f"{domain.name}: build must return a dict of NumPy arrays, got {', '.join(given)}")
    check_presence(domain.name, arrays)
    if len(domain.shape) == 3 and domain.shape[0] in (1, 3) and domain.shape[2] > 4:
        raise DatasetError(
            f"{domain.name}: images must be (N, H, W, C), got (N, {', '.join(map(str, domain.shape))}), which looks "
            "like (N, C, H, W); np.moveaxis(inputs, 1, 3) puts the channels last"
        )
    for split, complete in zip(SPLITS, domain.counts, strict=True):
        if f"{split}_inputs" not in arrays:
            continue
        name, inputs, labels = f"{domain.name} {split}", arrays[f"{split}_inputs"], arrays[f"{split}_labels"]
        if len(inputs) != complete and not (domain.partial and len(inputs) < complete):
            raise DatasetError(f"{name}: {len(inputs)} samples, expected {complete}; a file is missing or swapped")
        dtype = np.uint8 if len(domain.shape) == 3 else np.float32
        if inputs.dtype != dtype or inputs.shape[1:] != domain.shape:
            raise DatasetError(
                f"{name}: inputs must be {np.dtype(dtype)} of shape (N, {', '.join(map(str, domain.shape))}), "
                f"got {inputs.dtype} of shape {inputs.shape}"
            )
        if labels.dtype != np.int64 or labels.shape != inputs.shape[:1]:
            raise DatasetError(
                f"{name}: labels must be int64, one for each of {len(inputs)} inputs, "
                f"got {labels.dtype} of shape {labels.shape}"
            )
        outside = (labels < 0) | (labels >= len(domain.class_names))
        if outside.any():
            raise DatasetError(
                f"{name}: labels must lie in 0 … {len(domain.class_names) - 1}, "
                f"got {labels[outside][0]} at sample {outside.argmax()}"
            )
        if inputs.dtype == np.float32 and not np.isfinite(inputs).all():
            sample = int((~np.isfinite(inputs)).any(1).argmax())
            raise DatasetError(f"{name}: inputs must be finite, sample {sample} is not")
    histogram = np.bincount(arrays["train_labels"], minlength=len(domain.class_names))
    if not histogram.all():
        empty = domain.class_names[int(histogram.argmin())]
        raise DatasetError(f"{domain.name}: class {empty!r} has no training sample")


def check_presence(name: str, arrays: Arrays) -> None:
    """Refuse a domain without training samples, or with a test split that is empty."""
    for split in SPLITS:
        if (f"{split}_inputs" in arrays) != (f"{split}_labels" in arrays):
            raise DatasetError(f"{name}: {split}_inputs and {split}_labels must come together, got {', '.join(arrays)}")
    if not len(arrays.get("train_inputs", ())):
        raise DatasetError(f"{name}: there is no training sample")
    if "test_inputs" in arrays and not len(arrays["test_inputs"]):
        raise DatasetError(f"{name}: there is no test sample; leave the test split out")


def check_digest(domain: Domain, arrays: Arrays) -> None:
    """Compare contents with the published digest, if they are complete and there is one.

    Raises:
        DatasetError: data of others that differs; says both digests. Our own generation only warns.
    """
    complete = tuple(len(arrays.get(f"{split}_inputs", ())) for split in SPLITS) == domain.counts
    if not domain.digest or not complete or (digest := digest_of(arrays)) == domain.digest:
        return
    message = f"{domain.name}: SHA-256 of the contents is {digest}, expected {domain.digest}"
    if not domain.generated:
        raise DatasetError(f"{message}; a file is damaged or not the published one")
    warnings.warn(
        f"{message}; the versions of Pillow, NumPy or scikit-learn differ from requirements.txt", stacklevel=2
    )
