"""The one exception of this folder: every bad input becomes one clear line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class DatasetError(ValueError):
    """A domain, a pair or a file cannot be used; the message names it and says what is allowed or what to do."""


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn whatever a file format's reader raises about a bad file into one line that names the file.

    Args:
        path: what is being read, or what to call it.

    Raises:
        DatasetError: the reader failed.
    """
    try:
        yield
    except DatasetError:
        raise
    except Exception as error:  # Pillow alone raises OSError, SyntaxError and others
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{path} cannot be read: {reason}") from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a disk that is full or not ours into one line that names the file.

    Args:
        path: what is being written.

    Raises:
        DatasetError: the system refused.
    """
    try:
        yield
    except OSError as error:
        raise DatasetError(f"{path} could not be written ({error.strerror or error})") from None


def shorten(names: Sequence[str], most: int = 5) -> str:
    """List the first few names."""
    return ", ".join((*names[:most], *(["…"] if len(names) > most else [])))
