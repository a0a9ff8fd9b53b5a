"""Made once, by one process, whole or not at all; afterwards only opened."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from datasets.files.folders import prepared_root
from datasets.files.locks import locked
from datasets.files.prepared import Arrays, Prepared, open_prepared, write_prepared

ENDING = ".grl"


def prepared_path(name: str) -> Path:
    """Say where the prepared file of that name lies, or would lie."""
    return prepared_root() / f"{name}{ENDING}"


def open_current(name: str, facts: Mapping[str, Any]) -> Prepared | None:
    """Open a prepared file if there is one and it says of itself all that `facts` says. Reads no sample."""
    path = prepared_path(name)
    if not path.is_file():
        return None
    prepared = open_prepared(path)
    return prepared if facts.items() <= prepared.facts.items() else None


def prepare(name: str, facts: Mapping[str, Any], make: Callable[[], Arrays], again: bool = False) -> Prepared:
    """Open a prepared file; make it first if it is missing or of other facts.

    Of two processes that need the same file at once, one works and the other waits for it.

    Args:
        name: of the file.
        facts: what it must say of itself; plain values that JSON can hold.
        make: computes its arrays.
        again: make it even if it is there.

    Returns:
        The opened file.

    Raises:
        DatasetError: the disk refuses. Whatever `make` raises passes through; no half-made file is left behind.
    """
    if not again and (prepared := open_current(name, facts)):
        return prepared
    path = prepared_path(name)
    with locked(path, "GRL_PREPARED"):
        if again or not (prepared := open_current(name, facts)):
            write_prepared(path, facts, make())
            prepared = open_prepared(path)
    return prepared
