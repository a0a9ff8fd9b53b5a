"""Sparse samples as text: one line each, a label and `feature:value` for whatever is not 0."""

from pathlib import Path
from typing import Any

import numpy as np

from datasets.errors import reading

MAX_BYTES = 2_000_000_000


def read_svmlight(path: Path, features: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read a sparse text file with features counted from 0 and whole numbers as labels.

    Returns:
        `(N, features)` float32 and `(N,)` int64.

    Raises:
        DatasetError: not such a file, an empty one, or one that would fill the memory.
    """
    from sklearn.datasets import load_svmlight_file

    with reading(path):
        # The stubs know "auto" alone; True keeps the published numbering when feature 0 is absent.
        sparse, labels, *_ = load_svmlight_file(str(path), n_features=features, zero_based=True)  # pyright: ignore
        inputs = write_out(sparse.astype(np.float32), "; number the features from 0 without large gaps")
        if not len(inputs):
            raise ValueError("it holds no sample")
        return inputs, whole_numbers(np.asarray(labels))


def write_out(sparse: Any, hint: str = "") -> np.ndarray:
    """Write out every 0 of a sparse matrix, `(N, D)`.

    Args:
        sparse: of SciPy.
        hint: what to add to the message.

    Raises:
        ValueError: it would fill the memory.
    """
    count, width = sparse.shape
    if count * width * 4 > MAX_BYTES:
        raise ValueError(
            f"{count:,} samples of {width:,} features are {count * width * 4 / 1e9:.1f} GB when every 0 is written "
            f"out, at most {MAX_BYTES / 1e9:.0f} are read{hint}"
        )
    return sparse.toarray()


def whole_numbers(labels: np.ndarray) -> np.ndarray:
    """Turn labels into int64 where that loses nothing.

    Raises:
        ValueError: a label is not a whole number, or too large to be told from the next one.
    """
    numbers = labels.astype(np.float64)
    for label in numbers[~(np.isfinite(numbers) & (np.rint(numbers) == numbers))][:1]:
        raise ValueError(f"labels must be whole numbers, got {label}")
    limit = 2**53 if labels.dtype.kind == "f" else 2**63
    for label in labels[np.abs(numbers) >= limit][:1] if labels.dtype.kind in "fu" else ():
        raise ValueError(f"labels must lie within ± {limit - 1}, got {label:.0f}")
    return labels.astype(np.int64)
