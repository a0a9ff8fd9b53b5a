"""Random numbers that are the same on every machine: a counter-based generator and integer arithmetic, nothing else.

NumPy promises that the raw output of a bit generator never changes; it promises no such thing for the distributions
built upon it (NEP 19). So everything here starts from raw 64-bit integers and stays with integers.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray


def random_bits(seed: int, name: str, rows: int, columns: int) -> NDArray[np.uint64]:
    """Draw a table of 64-bit integers. Row i does not depend on how many rows are drawn.

    Args:
        seed: any integer.
        name: what the numbers are for; two names give independent streams.
        rows: number of rows, one per image or sample.
        columns: numbers per row.

    Returns:
        `(rows, columns)` uint64.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    bits = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(rows * columns)
    return np.asarray(bits, np.uint64).reshape(rows, columns)


def integers_below(bits: NDArray[np.uint64], limit: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Scale random bits to integers in `[0, limit)` by multiplying and shifting.

    Args:
        bits: uint64, any shape.
        limit: at least 1 and below 2^31, one for all or one for each.

    Returns:
        int64 of the broadcast shape. A value's probability is off by less than limit / 2^32.
    """
    return ((bits >> np.uint64(32)) * np.asarray(limit, np.uint64) >> np.uint64(32)).astype(np.int64)


def permutation(seed: int, name: str, length: int) -> NDArray[np.int64]:
    """Shuffle 0 … length - 1 by sorting random keys.

    Returns:
        `(length,)` int64.
    """
    return np.argsort(random_bits(seed, name, length, 1)[:, 0], kind="stable")
