"""Unpack one part of an archive, and nothing outside the place it is meant for."""

import gzip
import hashlib
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

from datasets.errors import DatasetError, reading, writing

MAX_BYTES = 16 << 30
MAX_FILES = 500_000
CHUNK = 1 << 20

Entry = tuple[str, bool, Callable[[], IO[bytes] | None]]  # name, is it a plain file, how to open it


def unpack(
    archive: Path,
    kind: str,
    member: str,
    place: Path,
    *,
    pattern: str = "*",
    check: Callable[[Path], None] = lambda unpacked: None,
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
) -> None:
    """Unpack beside `place`, check, then move there in one step.

    Args:
        archive: the file.
        kind: "file" (nothing to unpack), "gzip", "tar" (compressed or not) or "zip".
        member: folder or file inside a tar or zip, matched anywhere in the path of an entry.
        place: what it becomes. Only one caller may unpack to it at a time.
        pattern: which files of a tar or zip are wanted, by their names.
        check: called with the unpacked file or folder; raises to refuse it.
        max_bytes: an archive that grows beyond this is refused.
        max_files: an archive with more entries is refused.

    Raises:
        DatasetError: a damaged archive, an entry that leads outside or is a link, or too much in it. Nothing is left.
    """
    scratch = place.with_name(f".{place.name}.partial")
    with writing(place):
        shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
        scratch.mkdir(parents=True)
    try:
        with reading(archive):
            unpacked = scratch / place.name
            if kind == "file":
                with archive.open("rb") as stream:
                    copy_stream(stream, unpacked, max_bytes, archive)
            elif kind == "gzip":
                with gzip.open(archive) as stream:
                    copy_stream(stream, unpacked, max_bytes, archive)
            else:
                unpack_entries(archive, kind, member, pattern, unpacked, max_bytes, max_files)
            check(unpacked)
            unpacked.replace(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def unpack_entries(
    archive: Path, kind: str, member: str, pattern: str, unpacked: Path, max_bytes: int, max_files: int
) -> None:
    """Unpack what is wanted at or below `member`; refuse the whole archive for one entry that leads outside."""
    wanted, count, left = PurePosixPath(member).parts, 0, max_bytes
    for name, plain, open_entry in tar_entries(archive) if kind == "tar" else zip_entries(archive):
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name or ":" in name.partition("/")[0]:
            raise DatasetError(f"{archive} tries to write outside its folder: {name!r}")
        count += 1
        if count > max_files:
            raise DatasetError(f"{archive} holds more than {max_files} entries")
        below = next((i for i in range(len(parts)) if parts[i : i + len(wanted)] == wanted), None)
        if below is None or name.endswith("/") or not fnmatchcase(parts[-1], pattern):
            continue
        if not plain or (stream := open_entry()) is None:
            raise DatasetError(f"{archive} holds a link or device where a file belongs: {name!r}")
        path = unpacked.joinpath(*parts[below + len(wanted) :])
        path.parent.mkdir(parents=True, exist_ok=True)
        with stream:
            left -= copy_stream(stream, path, left, archive)
    if not unpacked.exists():
        raise DatasetError(f"{archive} does not hold {member}")


def tar_entries(archive: Path) -> Iterator[Entry]:
    """List a tar archive, folders left out."""
    with tarfile.open(archive) as tar:
        for entry in tar:
            if not entry.isdir():
                yield entry.name, entry.isreg(), lambda entry=entry: tar.extractfile(entry)
        # To the very end: only there does a compressed archive keep its checksum.
        while tar.fileobj is not None and tar.fileobj.read(CHUNK):
            pass


def zip_entries(archive: Path) -> Iterator[Entry]:
    """List a zip archive; the upper half of the attributes are Unix file types, where a link is 0o12."""
    with zipfile.ZipFile(archive) as zipped:
        for entry in zipped.infolist():
            link = entry.external_attr >> 28 == 0o12
            yield entry.filename, not link, lambda entry=entry: zipped.open(entry)


def copy_stream(stream: IO[bytes] | gzip.GzipFile, path: Path, limit: int, archive: Path) -> int:
    """Copy a stream into a file.

    Returns:
        How many bytes it held.
    """
    size = 0
    with path.open("wb") as file:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > limit:
                raise DatasetError(f"{archive} holds more than the {limit} bytes that were allowed")
            with writing(path):
                file.write(chunk)
    return size


def folder_digest(folder: Path) -> str:
    """Hash names and contents of all files of a folder, in the order of their names.

    Returns:
        SHA-256 as 64 hexadecimal digits.
    """
    sha = hashlib.sha256()
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for name in names:
        with (folder / name).open("rb") as file:
            sha.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return sha.hexdigest()
