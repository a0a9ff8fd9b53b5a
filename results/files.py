"""Files that are replaced whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

from experiments.errors import BadInput


def make_folder(path: Path) -> Path:
    """Create the folder and prove that it can be written.

    Raises:
        BadInput: with the folder and the reason.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe.{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise BadInput(f"the results folder {path} cannot be written: {error.strerror}") from None
    return path


def replace_file(path: Path, content: bytes) -> Path:
    """Write beside `path`, then rename: readers see the old file or the new one.

    Raises:
        BadInput: with the file and the reason; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path
