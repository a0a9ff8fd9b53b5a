"""One worker at a time: others wait until the file is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from datasets.errors import DatasetError


@contextmanager
def locked(path: Path, variable: str) -> Iterator[None]:
    """Hold the right to write `path`; wait while another process holds it. The system frees it if its holder dies.

    Args:
        path: what will be written; folders above are made, a lock file lies beside it.
        variable: the environment variable that moves the folder elsewhere, for the message.

    Raises:
        DatasetError: the folder cannot be written.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path.parent} cannot be written ({reason}); set {variable} to a folder that can") from None
    try:
        yield
    finally:
        lock.release()
