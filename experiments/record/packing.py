"""Recorded runs in one file, to go to another machine, to a colleague or into a repository.

A pack is a tar file, compressed by xz, of `<hash>/<file>`: the files of finished runs as `record.names` has them, less
`curves.parquet`, which follows from the points, and first `destinations.json`, where in MLflow the run belongs. The
same runs give the same bytes.
"""

import io
import json
import lzma
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.errors import BadInput, RunInUse, unknown
from experiments.record import names
from experiments.record.deliveries import Destination, address, destinations_of, send_again
from experiments.record.files import PRIVATE, READABLE, claim, read_json, write_atomically, writing_to
from experiments.record.folder import folder_of, is_finished, list_runs, read_points, write_curves
from experiments.record.forms import find_misfit

DESTINATIONS = "destinations.json"
HEAVY = (names.EVALUATIONS, names.MODEL)
NEEDED = (names.RUN, names.POINTS, names.RESULT, names.STATUS)
FILES = (names.RUN, names.POINTS, names.CHANGES, *HEAVY, names.RESULT, names.STATUS)
HASH = re.compile(r"[0-9a-f]{16}")


def pack(name: str, path: Path, *, light: bool = False, follow: Callable[[list[Path]], Iterable[Path]] = iter) -> int:
    """Write the finished runs of a table into one file; returns how many.

    Args:
        name: Of a table, with what it chooses by, of an experiment or of a sweep, as it was run.
        path: The file, replaced as a whole.
        light: Without weights and evaluations. Accuracies, losses, curves and choices by reverse validation are in what
            is left; other selections, tests and figures that read evaluations, and runs that begin with another's
            weights need more.
        follow: What the folders go through on the way, to show progress.

    Raises:
        BadInput: No run of this name is finished, a file of a run cannot be used, or `path` cannot be written.
    """
    if path.is_dir():
        raise BadInput(f"a pack is a file, such as {name}.tar.xz, got the folder {path}")
    known = {folder: destinations_of(folder) for folder in list_runs()}
    if not known:
        raise BadInput(f"nothing to pack: no run is recorded in {names.runs_root()}")
    wanted = (name, names.search_of(name))
    places = {folder: [each for each in found if each.experiment in wanted] for folder, found in known.items()}
    folders = [folder for folder, found in places.items() if found]
    if not folders:
        raise unknown("name of runs", name, {each.experiment for found in known.values() for each in found})
    # What was set aside, because its data have changed, has more in its name than its hash.
    folders = [folder for folder in folders if HASH.fullmatch(folder.name) and is_finished(folder)]
    if not folders:
        raise BadInput(f"nothing to pack: no run of {name} is finished")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with tarfile.open(temporary, "w:xz") as tar:
                for folder in follow(folders):
                    here = [[each.experiment, *each.parents] for each in places[folder]]
                    for file, content in ({DESTINATIONS: json.dumps(here).encode()} | _read(folder, light)).items():
                        entry = tarfile.TarInfo(f"{folder.name}/{file}")
                        entry.size = len(content)
                        tar.addfile(entry, io.BytesIO(content))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return len(folders)


def unpack(path: Path) -> tuple[list[Path], list[str]]:
    """Record the runs of a pack as if they had been trained here; a run that is finished here stays as it is.

    Args:
        path: What `pack` has written.

    Returns:
        The folders of its runs that are finished now, with the same weights; and one line for each other one: a run of
        its hash has been begun here, or has come to other weights.

    Raises:
        BadInput: The file is no pack or is damaged; the runs before the damage are kept.
    """
    taken: list[Path] = []
    left: list[str] = []
    for hash, files in _runs_in(path):
        folder = folder_of(hash)
        try:
            with claim(folder):
                places, reason = _places_in(files, path), _take(folder, files, path)
        except RunInUse:
            places, reason = [], "another process has it"
        if reason:
            left.append(f"{hash}: {reason}")
            continue
        for place in places:
            address(folder, place)
        taken.append(folder)
    return taken, left


def _read(folder: Path, light: bool) -> dict[str, bytes]:
    _check(folder)
    files = [file for file in FILES if (folder / file).exists() and not (light and file in HEAVY)]
    try:
        return {file: (folder / file).read_bytes() for file in files}
    except OSError as error:
        raise BadInput(f"a file of {folder} cannot be read: {error.strerror}") from None


def _check(folder: Path) -> tuple[list[dict[str, Any]], str]:
    # The points of a finished run and the digest of its weights.
    description = read_json(folder / names.RUN, needs=("hash", "title", "experiment", "params", "tags", "started_ms"))
    result = read_json(folder / names.RESULT, needs=("metrics", "last", "weights_sha256"))
    points = read_points(folder)
    if not (description and result and description["hash"] == folder.name and is_finished(folder)):
        raise BadInput(f"{folder} does not hold the run of its name, finished; move it away")
    return points, result["weights_sha256"]


def _runs_in(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    # Each run of a pack: its hash, and its files by name. Nothing else that a tar file can hold is looked at.
    try:
        with lzma.open(path) as content:  # to its end, where its checksum is: a tar file has none of what it holds
            while content.read(1 << 20):
                pass
        with tarfile.open(path, "r:xz") as tar:
            for hash, entries in groupby(tar, lambda entry: entry.name.partition("/")[0]):
                files: dict[str, bytes] = {}
                for entry in entries:
                    file = entry.name.removeprefix(f"{hash}/")
                    content = tar.extractfile(entry) if entry.isreg() and not entry.issparse() else None
                    if content is None or not HASH.fullmatch(hash) or file not in (DESTINATIONS, *FILES):
                        raise _damaged(path, f"{entry.name[:80]!r} is no file of a run")
                    files[file] = content.read()
                if missing := [file for file in (DESTINATIONS, *NEEDED) if file not in files]:
                    raise _damaged(path, f"run {hash} lacks {', '.join(missing)}")
                yield hash, files
    except BadInput:
        raise
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from None
    except (tarfile.TarError, lzma.LZMAError, EOFError, ValueError) as error:
        raise _damaged(path, str(error)) from None


def _places_in(files: dict[str, bytes], path: Path) -> list[Destination]:
    try:
        places = json.loads(files[DESTINATIONS])
        if misfit := find_misfit(places, [[str]]) or ("" if places else "it names none"):
            raise ValueError(misfit)
        return [Destination(experiment, tuple(parents)) for experiment, *parents in places]
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"{DESTINATIONS}: {error}") from None


def _take(folder: Path, files: dict[str, bytes], path: Path) -> str:
    # Why not, if it cannot.
    with writing_to(folder.parent), TemporaryDirectory(prefix=".unpacking-", dir=folder.parent) as scratch:
        beside = Path(scratch) / folder.name  # so that nothing damaged gets into the folder of the run
        beside.mkdir()
        for file in NEEDED:
            (beside / file).write_bytes(files[file])
        try:
            points, weights = _check(beside)
        except BadInput as error:
            what = str(error).rpartition("; ")[0]  # less what to do about a run of one's own
            raise _damaged(path, f"run {folder.name}: {what.removeprefix(f'{beside}/')}") from None
    if is_finished(folder):
        if _check(folder)[1] != weights:
            return f"it is finished here, too, with other weights; delete {folder} to take the packed one"
        if lacking := [file for file in HEAVY if file in files and not (folder / file).exists()]:  # it came light
            for file in lacking:
                write_atomically(folder / file, files[file])
            send_again(folder)
        return ""
    if (folder / names.STATUS).exists():
        return f"it was begun here; finish it, or delete {folder} to take the packed one"
    # Not durable: the pack is still there, and a file that a crash of the machine left empty is named where it is read.
    write_curves(folder, points, durable=False)
    for file in FILES:  # the status last: it makes the run done
        if file in files:
            mode = PRIVATE if file == names.CHANGES else READABLE
            write_atomically(folder / file, files[file], durable=False, mode=mode)
    return ""


def _damaged(path: Path, what: str) -> BadInput:
    return BadInput(f"{path} is no pack of runs, or is damaged: {what}")
