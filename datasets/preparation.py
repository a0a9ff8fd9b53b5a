"""From original files to prepared ones: once, by one process, whole or not at all."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from datasets.domain import Domain, check_arrays
from datasets.errors import DatasetError
from datasets.folders import data_root, prepared_root
from datasets.prepared import Prepared, open_prepared, write_prepared


def prepared_path(domain: Domain) -> Path:
    """Say where the prepared file of a domain lies, or would lie."""
    return prepared_root() / f"{domain.name}.grl"


def open_if_current(domain: Domain) -> Prepared | None:
    """Open the prepared file of a domain if there is one and this version of the code made it."""
    path = prepared_path(domain)
    if not path.is_file():
        return None
    prepared = open_prepared(path)
    return prepared if prepared.facts.get("version") == domain.version else None


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold the right to write `path`; wait while another process holds it.

    Raises:
        DatasetError: the folder cannot be written.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        reason = error.strerror or error
        raise DatasetError(
            f"{path.parent} cannot be written ({reason}); set GRL_PREPARED to a folder that can"
        ) from None
    try:
        yield
    finally:
        lock.release()


def prepare_domain(domain: Domain, root: str | os.PathLike[str] | None = None, again: bool = False) -> Prepared:
    """Open the prepared file of a domain; make it first if it is missing or old. Never downloads.

    Of two processes that need the same domain at once, one works and the other waits for it.

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
    folder, path = data_root(root), prepared_path(domain)
    if missing := domain.missing(folder):
        raise DatasetError(
            f"{domain.name} needs {missing}, which is not in {folder}; "
            f"fetch it with: python -m datasets prepare {domain.name}"
        )
    with claim(path):
        if not again and (prepared := open_if_current(domain)):
            return prepared
        arrays = domain.build(folder)
        check_arrays(domain, arrays)
        facts = {"name": domain.name, "version": domain.version, "class_names": domain.class_names}
        digest = write_prepared(path, facts, arrays)
    if domain.digest and digest != domain.digest:
        warnings.warn(f"{domain.name}: SHA-256 {digest} differs from the published {domain.digest}", stacklevel=2)
    return open_prepared(path)
