"""Recorded runs in one file, to go to another machine, to a colleague or into a repository.

A pack is a tar file, compressed by xz, of `<hash>/<file>`: the files of finished runs as `record.names` has them, less
`curves.parquet`, which follows from the points, and first `destinations.json`, where in MLflow the run belongs. The
same runs give the same bytes.
"""

import io
import json
import lzma
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.errors import BadInput, RunInUse, unknown
from experiments.record import names
from experiments.record.deliveries import Destination, address, destinations_of
from experiments.record.files import claim, read_json, write_atomically, writing_to
from experiments.record.folder import folder_of, is_finished, list_runs, read_points, write_curves
from experiments.record.forms import find_misfit

DESTINATIONS = "destinations.json"
HEAVY = (names.EVALUATIONS, names.MODEL)
NEEDED = (names.RUN, names.POINTS, names.RESULT, names.STATUS)
FILES = (names.RUN, names.POINTS, names.CHANGES, *HEAVY, names.RESULT, names.STATUS)


def pack(name: str, path: Path, *, light: bool = False, follow: Callable[[list[Path]], Iterable[Path]] = iter) -> int:
    """Write the finished runs of an MLflow experiment into one file; returns how many.

    Args:
        name: Of a table, an experiment or a sweep, as it was run.
        path: The file, replaced as a whole.
        light: Without weights and evaluations. Tables, curves and choices by reverse validation can be made of what is
            left; other selections, figures of features and runs that begin with another's weights cannot.
        follow: What the folders go through on the way, to show progress.

    Raises:
        BadInput: No run of this name is finished, a file of a run cannot be used, or `path` cannot be written.
    """
    places = {folder: destinations_of(folder) for folder in list_runs()}
    folders = [folder for folder, found in places.items() if any(each.experiment == name for each in found)]
    if not folders:
        raise unknown("name of runs", name, {each.experiment for found in places.values() for each in found})
    # What was set aside, because its data have changed, has another name than its hash.
    folders = [folder for folder in folders if is_finished(folder) and _hash_in(folder) == folder.name]
    if not folders:
        raise BadInput(f"nothing to pack: no run of {name} is finished")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with tarfile.open(temporary, "w:xz") as tar:
                for folder in follow(folders):
                    here = [[each.experiment, *each.parents] for each in places[folder] if each.experiment == name]
                    _add(tar, f"{folder.name}/{DESTINATIONS}", json.dumps(here).encode())
                    for file in FILES:
                        if (folder / file).exists() and not (light and file in HEAVY):
                            _add(tar, f"{folder.name}/{file}", (folder / file).read_bytes())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return len(folders)


def unpack(path: Path) -> tuple[list[Path], list[str]]:
    """Record the runs of a pack as if they had been trained here; a run that is finished here stays as it is.

    Args:
        path: What `pack` has written.

    Returns:
        The folders of its runs, all finished now; and one line for each run that was not taken, because one of its hash
        has been begun here.

    Raises:
        BadInput: The file is no pack or is damaged; what was read before the damage is kept.
    """
    taken: list[Path] = []
    left: list[str] = []
    for hash, files in _runs_in(path):
        folder, places = folder_of(hash), _places_in(files, path)
        try:
            if not is_finished(folder):
                with claim(folder):
                    if (folder / names.RUN).exists():
                        left.append(f"{hash} was begun here: finish it, or delete {folder} and unpack again")
                        continue
                    _write(folder, files, path)
        except RunInUse:
            left.append(f"{hash} is being trained here")
            continue
        for place in places:
            address(folder, place)
        taken.append(folder)
    return taken, left


def _hash_in(folder: Path) -> str:
    return (read_json(folder / names.RUN, needs=("hash",)) or {"hash": ""})["hash"]


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _runs_in(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    # Each run of a pack: its hash, and its files by name. Nothing else that a tar file can hold is looked at.
    try:
        with tarfile.open(path, "r:xz") as tar:
            for hash, entries in groupby(tar, lambda entry: entry.name.partition("/")[0]):
                files: dict[str, bytes] = {}
                for entry in entries:
                    file = entry.name.removeprefix(f"{hash}/")
                    content = tar.extractfile(entry) if entry.isreg() else None
                    if content is None or not hash.isalnum() or file not in (DESTINATIONS, *FILES):
                        raise _damaged(path, f"{entry.name!r} is no file of a run")
                    files[file] = content.read()
                if missing := [file for file in (DESTINATIONS, *NEEDED) if file not in files]:
                    raise _damaged(path, f"run {hash} lacks {', '.join(missing)}")
                yield hash, files
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from None
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise _damaged(path, str(error)) from None


def _places_in(files: dict[str, bytes], path: Path) -> list[Destination]:
    try:
        places = json.loads(files[DESTINATIONS])
        if misfit := find_misfit(places, [[str]]):
            raise ValueError(misfit)
        return [Destination(experiment, tuple(parents)) for experiment, *parents in places]
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"{DESTINATIONS}: {error}") from None


def _write(folder: Path, files: dict[str, bytes], path: Path) -> None:
    with TemporaryDirectory() as scratch:  # so that nothing damaged gets into the folder of the run
        for file in NEEDED:
            (Path(scratch) / file).write_bytes(files[file])
        try:
            description = read_json(Path(scratch) / names.RUN, needs=("hash", "title", "experiment", "params", "tags"))
            result = read_json(Path(scratch) / names.RESULT, needs=("metrics", "last", "weights_sha256"))
            points = read_points(Path(scratch))
            if not (description and description["hash"] == folder.name and result and is_finished(Path(scratch))):
                raise BadInput(f"{names.RUN} and {names.STATUS} do not say that it is this run, finished")
        except BadInput as error:
            raise _damaged(path, f"run {folder.name}: {error}") from None
    write_curves(folder, points)
    for file in FILES:  # the status last: it makes the run done
        if file in files:
            write_atomically(folder / file, files[file])


def _damaged(path: Path, what: str) -> BadInput:
    return BadInput(f"{path} is no pack of runs, or is damaged: {what}")
