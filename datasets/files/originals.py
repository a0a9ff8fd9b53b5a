"""Original files: where each belongs below the data root, and how a fresh machine comes to it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets.errors import DatasetError
from datasets.files.archive import folder_digest, unpack
from datasets.files.download import Report, download
from datasets.files.locks import locked


@dataclass(frozen=True, kw_only=True)
class Original:
    """One file or folder that a domain is prepared from.

    Attributes:
        path: where it belongs below the data root.
        also: other places where it is accepted as it lies.
        urls: the same file in several places, tried in turn; empty when nobody may pass it on.
        checksum: "md5:…", "sha256:…" or "git:…" of the file that comes from a URL; empty when none was published.
        kind: what comes from a URL: the file itself, or an archive of it.
        member: the part of an archive that becomes `path`, wherever in the archive it lies.
        pattern: which files of the member are wanted, by their names.
        contents: SHA-256 over names and contents of an unpacked folder (`folder_digest`).
        manual: what a person must do when there is no URL, or none works.
    """

    path: str
    also: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    checksum: str = ""
    kind: Literal["file", "gzip", "tar", "zip"] = "file"
    member: str = ""
    pattern: str = "*"
    contents: str = ""
    manual: str = ""

    def find(self, root: Path) -> Path | None:
        """Say where it lies below `root`, or None."""
        return next((root / place for place in (self.path, *self.also) if (root / place).exists()), None)


def fetch(original: Original, root: Path, report: Report | None = None) -> Path:
    """Download and unpack an original unless it is there. It appears complete, in one step, or not at all.

    Args:
        original: what to fetch.
        root: the data root.
        report: called with the name, the bytes so far and the bytes in all (0 if unknown).

    Returns:
        Where it lies.

    Raises:
        DatasetError: no URL worked, a checksum differs, an archive is unsafe, or the disk refuses.
    """
    if found := original.find(root):
        return found
    place = root / original.path
    if not original.urls:
        raise DatasetError(f"{original.path} cannot be fetched by a program: {original.manual}; it belongs at {place}")
    downloads = root / ".downloads"
    with locked(downloads / original.path.replace("/", "-"), "GRL_DATA"):
        if found := original.find(root):
            return found
        file = downloads / original.urls[0].rpartition("/")[2]
        try:
            download(original.urls, file, original.checksum, report)
        except DatasetError as error:
            if not original.manual:
                raise
            raise DatasetError(f"{error}; else by hand: {original.manual}; it belongs at {place}") from None
        unpack(
            file,
            original.kind,
            original.member,
            place,
            pattern=original.pattern,
            check=lambda unpacked: check_contents(original, unpacked),
        )
        file.unlink(missing_ok=True)
    return place


def check_contents(original: Original, unpacked: Path) -> None:
    """Compare what came out of an archive with what is known of it."""
    if original.contents and (digest := folder_digest(unpacked)) != original.contents:
        raise DatasetError(f"{original.path}: SHA-256 of the contents is {digest}, expected {original.contents}")
