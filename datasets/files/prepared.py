"""One compact file per domain: a JSON header, then raw arrays that a run maps into memory in milliseconds.

    magic (8 bytes) · length of the header (8 bytes) · header · arrays, each aligned to 64 bytes

A file is written beside its final place, flushed, and moved there in one step: it is complete or it is not there.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetError, writing

Arrays = dict[str, NDArray[Any]]
MAGIC = b"GRLDATA1"
ALIGNMENT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An opened file: what its header says, and its arrays, mapped and not yet read."""

    path: Path
    facts: Mapping[str, Any]
    digest: str
    arrays: Arrays


def bytes_of(array: NDArray[Any]) -> memoryview:
    """View the contents of an array as bytes, in C order; copies only what is not contiguous."""
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))  # pyright: ignore[reportArgumentType]


def digest_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Hash names, types, shapes and contents.

    Returns:
        SHA-256 as 64 hexadecimal digits.
    """
    sha = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        sha.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha.update(bytes_of(array))
    return sha.hexdigest()


def write_prepared(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write one file, whole or not at all. Only one process may write it at a time (`locks.claim`).

    Args:
        path: where it goes; folders above are made.
        facts: what JSON can hold; comes back as `Prepared.facts`.
        arrays: by name; little-endian types of a fixed size.

    Returns:
        The digest of the arrays.

    Raises:
        DatasetError: the file cannot be written, for example because the disk is full. Nothing is left behind.
    """
    digest, offset, table = digest_of(arrays), 0, {}
    for name, array in arrays.items():
        offset = -(-offset // ALIGNMENT) * ALIGNMENT
        table[name] = {"dtype": array.dtype.str, "shape": array.shape, "offset": offset}
        offset += array.nbytes
    header = json.dumps({"facts": dict(facts), "digest": digest, "arrays": table, "bytes": offset}).encode()
    header += b" " * (-(16 + len(header)) % ALIGNMENT)
    scratch = path.with_name(f".{path.name}.partial")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with scratch.open("wb") as file:
                file.write(MAGIC + len(header).to_bytes(8, "little") + header)
                for name, array in arrays.items():
                    file.seek(16 + len(header) + table[name]["offset"])
                    file.write(bytes_of(array))
                file.truncate(16 + len(header) + offset)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
    return digest


def open_prepared(path: Path) -> Prepared:
    """Map a prepared file into memory.

    Args:
        path: a file that `write_prepared` wrote.

    Returns:
        Header and arrays. The arrays are copy-on-write: a change stays in this process.

    Raises:
        DatasetError: not such a file, or its size differs from what its header says.
    """
    with path.open("rb") as file:
        start = file.read(16)
        length = int.from_bytes(start[8:], "little")
        if start[:8] != MAGIC or length > path.stat().st_size:
            raise DatasetError(f"{path} is not a prepared file (or a damaged one); delete it and prepare it again")
        header = json.loads(file.read(length))
    expected, size = 16 + length + header["bytes"], path.stat().st_size
    if size != expected:
        raise DatasetError(f"{path} has {size} bytes, expected {expected}; delete it and prepare it again")
    data = np.memmap(path, np.uint8, mode="c", offset=0)[16 + length :]
    arrays = {}
    for name, entry in header["arrays"].items():
        dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
        part = data[entry["offset"] : entry["offset"] + dtype.itemsize * int(np.prod(shape))]
        arrays[name] = np.asarray(part.view(dtype).reshape(shape))
    return Prepared(path=path, facts=header["facts"], digest=header["digest"], arrays=arrays)
