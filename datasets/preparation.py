"""From original files to prepared ones: once, by one process, whole or not at all."""

import os
import warnings
from pathlib import Path

from datasets.domain import SPLITS, Domain, check_arrays
from datasets.errors import DatasetError
from datasets.folders import data_root, prepared_root
from datasets.locks import claim
from datasets.prepared import Arrays, Prepared, digest_of, open_prepared, write_prepared


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
            f"{domain.name} needs {missing.path}, which is not in {folder}; "
            f"fetch it with: python -m datasets prepare {domain.name}"
        )
    with claim(path, "GRL_PREPARED"):
        if not again and (prepared := open_if_current(domain)):
            return prepared
        arrays = domain.build(folder)
        check_arrays(domain, arrays)
        check_digest(domain, arrays)
        facts = {"name": domain.name, "version": domain.version, "class_names": domain.class_names}
        write_prepared(path, facts, arrays)
    return open_prepared(path)


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
        f"{message}; the versions of Pillow, NumPy or scikit-learn differ from requirements.txt", stacklevel=3
    )
