"""Fetch one file over HTTP: resumed where it broke off, mirrors in turn, its checksum compared before it counts."""

import errno
import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from datasets.errors import DatasetError

Report = Callable[[str, int, int], None]
CHUNK = 1 << 18
MAX_BYTES = 8 << 30
# Errors of the disk, which neither another attempt nor another place would mend.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST}


class BrokenOff(Exception):
    """The connection ended early; what arrived is kept and can be continued."""


class Damaged(Exception):
    """What arrived is not the file; nothing of it is kept."""


class Refused(Exception):
    """This place does not give the file."""


def download(
    urls: Sequence[str],
    path: Path,
    checksum: str = "",
    report: Report | None = None,
    *,
    attempts: int = 3,
    timeout_s: float = 30,
    max_bytes: int = MAX_BYTES,
) -> None:
    """Fetch a file from the first place that gives it whole and right.

    Args:
        urls: the same file in several places.
        path: where it goes; until it is complete and checked there is only `<path>.part`, which a later call continues.
        checksum: "md5:…", "sha256:…" or "git:…" (the name of the contents in a repository); empty checks only the
            length that the server states.
        report: called with the name of the file, the bytes so far and the bytes in all (0 if unknown).
        attempts: how often a connection that breaks off is continued, per place.
        timeout_s: a connection that is silent for so long counts as broken.
        max_bytes: larger files are refused.

    Raises:
        DatasetError: no place gave it; says for each place why. Or the disk refuses.
    """
    part, reasons, reason = path.with_name(path.name + ".part"), [], ""
    for url in urls:
        for _ in range(attempts):
            resumed = part.exists()
            try:
                transfer(url, part, report, timeout_s, max_bytes)
                check_file(part, checksum)
            except BrokenOff as error:
                reason = str(error)
            except Damaged as error:
                part.unlink(missing_ok=True)
                reason = str(error)
                if not resumed:
                    break  # all of it came from here, so once more would not help
            except Refused as error:
                reason = str(error)
                break
            else:
                part.replace(path)
                return
        reasons.append(f"{url}: {reason}")
    raise DatasetError(f"{path.name} could not be downloaded: {'; '.join(reasons)}")


def transfer(url: str, part: Path, report: Report | None, timeout_s: float, max_bytes: int) -> None:
    """Append to `part` what is missing of `url`."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "grl", "Accept-Encoding": "identity"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            if response.status != 206:
                done = 0  # the server sends the whole file, whatever was asked
            total = done + int(response.headers.get("Content-Length") or 0)
            part.parent.mkdir(parents=True, exist_ok=True)
            with part.open("ab" if done else "wb") as file:
                while chunk := response.read(CHUNK):
                    done += len(chunk)
                    if max(done, total) > max_bytes:
                        raise Damaged(f"larger than {max_bytes} bytes")
                    file.write(chunk)
                    if report:
                        report(part.stem, done, total)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            part.unlink(missing_ok=True)
            raise BrokenOff("its length changed, starting anew") from None
        raise Refused(f"HTTP {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise BrokenOff(f"no connection ({error.reason})") from None
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise DatasetError(f"{part} could not be written ({error.strerror})") from None
        raise BrokenOff(f"broke off after {done} bytes ({str(error) or type(error).__name__})") from None
    if done < total:
        raise BrokenOff(f"broke off after {done} of {total} bytes")


def check_file(path: Path, checksum: str) -> None:
    """Compare a file with its published checksum.

    Raises:
        Damaged: they differ; says both.
    """
    if not checksum:
        return
    kind, _, expected = checksum.partition(":")
    with path.open("rb") as file:
        if kind == "git":  # SHA-1 of a header and the contents
            header = b"blob %d\0" % path.stat().st_size
            found = hashlib.file_digest(file, lambda: hashlib.sha1(header)).hexdigest()
        else:
            found = hashlib.file_digest(file, kind).hexdigest()
    if found != expected:
        raise Damaged(f"{kind} is {found}, expected {expected}")
