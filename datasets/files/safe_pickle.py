"""A pickle of NumPy arrays, opened without running what others may have put into it."""

import codecs
import gzip
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct
from numpy._core.numeric import _frombuffer  # pyright: ignore[reportAttributeAccessIssue]
from numpy.typing import NDArray

from datasets.errors import reading

# Where pickled arrays begin: under the names of NumPy 1 and 2, in the protocols before 5 and since.
CORES = ("numpy.core", "numpy._core")
ALLOWED = {
    **{(f"{core}.multiarray", "_reconstruct"): _reconstruct for core in CORES},
    **{(f"{core}.numeric", "_frombuffer"): _frombuffer for core in CORES},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,  # how older protocols write bytes
}


class ArraysOnly(pickle.Unpickler):
    """Knows how to rebuild an array, and nothing else: no other function is called or even imported."""

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up among the allowed ones."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, and only NumPy arrays may be in it")
        return ALLOWED[module, name]


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read a pickled dictionary of arrays, compressed with gzip or not.

    Raises:
        DatasetError: anything else is in it; nothing of it was run.
    """
    with reading(path), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        found = ArraysOnly(file, encoding="bytes").load()
        if not isinstance(found, dict) or not all(isinstance(one, np.ndarray) for one in found.values()):
            raise pickle.UnpicklingError(f"it must be a dictionary of NumPy arrays, got {type(found).__name__}")
    return {name.decode() if isinstance(name, bytes) else str(name): array for name, array in found.items()}
