"""One compact file per domain: a JSON header, then raw arrays that a run maps into memory in milliseconds.

    magic (8 bytes) · length of the header (8 bytes) · header · arrays, each aligned to 64 bytes

A file is written beside its final place, flushed, and moved there in one step: it is complete or it is not there.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetError, reading, writing

Arrays = dict[str, NDArray[Any]]
MAGIC = b"GRLDATA1"
ALIGNMENT = 64
ADVICE = "delete it and prepare it again"


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
    """Write one file, whole or not at all. Only one process may write it at a time (`locks.locked`).

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
    with reading(path), path.open("rb") as file:
        size, start = os.fstat(file.fileno()).st_size, file.read(16)
        length = int.from_bytes(start[8:], "little")
        if start[:8] != MAGIC or 16 + length > size:
            raise DatasetError(f"{path} is not a prepared file (or a damaged one); {ADVICE}")
        content = file.read(length)
    with _decoding(path):
        header = json.loads(content)
        facts, digest, expected = dict(header["facts"]), str(header["digest"]), 16 + length + header["bytes"]
        layout = {name: locate(**entry) for name, entry in header["arrays"].items()}
    if size != expected or any(span.stop > header["bytes"] for span, _, _ in layout.values()):
        raise DatasetError(f"{path} has {size} bytes, expected {expected}; {ADVICE}")
    data = np.memmap(path, np.uint8, mode="c")[16 + length :]
    with _decoding(path):
        arrays = {
            name: np.asarray(data[span].view(dtype).reshape(shape)) for name, (span, dtype, shape) in layout.items()
        }
    return Prepared(path=path, facts=facts, digest=digest, arrays=arrays)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever damaged bytes may lead to
        reason = " ".join(f"{type(error).__name__} {error}".split())
        raise DatasetError(f"{path} has a damaged header ({reason}); {ADVICE}") from None


def locate(dtype: str, shape: list[int], offset: int) -> tuple[slice, np.dtype[Any], tuple[int, ...]]:
    """Find one array behind the header.

    Returns:
        Where its bytes are, their type, and its shape.

    Raises:
        ValueError: numbers that cannot be.
    """
    kind = np.dtype(dtype)
    if kind.hasobject or not kind.itemsize or any(type(n) is not int or n < 0 for n in (*shape, offset)):
        raise ValueError(f"no array is {dtype} of shape {shape} at {offset}")
    return slice(offset, offset + kind.itemsize * math.prod(shape)), kind, tuple(shape)
