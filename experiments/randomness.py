"""One seed per run, one stream per purpose: adding a draw in one place never shifts the numbers of another."""

import hashlib


def derive_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for `purpose`, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "big") >> 1
