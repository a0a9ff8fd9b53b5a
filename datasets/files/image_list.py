"""Images named by a text file, `path label` on each line, as Office-Home, VisDA and DomainNet come."""

import os
from collections.abc import Sequence
from pathlib import Path

from datasets.errors import DatasetError, reading
from datasets.files.image_folder import list_folder
from datasets.files.photographs import Photographs

ENDINGS = (".txt", ".lst")


def list_images(place: Path, tests: Path | None, root: Path | None, wanted: Sequence[str]) -> Photographs:
    """List the images of a folder or of a text file.

    Args:
        place: the folder (`list_folder`) or the text file (`list_lines`).
        tests: the same for testing.
        root: as for `list_lines`.
        wanted: classes to keep, or names of numbered ones; empty keeps all.
    """
    found = list_folder(place, tests) if place.is_dir() else list_lines(place, tests, root)
    return found.choose(wanted, str(place))


def list_lines(place: Path, tests: Path | None = None, root: Path | None = None) -> Photographs:
    """List the images that a text file names.

    Classes whose images lie in a folder of their own are called like it; others as the file calls them.

    Args:
        place: a path and a label on each line, with white space between; the path may have some, too.
        tests: the same for testing.
        root: where paths begin that are not absolute; default the folder of the text file.

    Raises:
        DatasetError: a line that is no such line, or an image that is not there; names the line.
    """
    named = {"train": read_lines(place, root or place.parent)}
    if tests is not None:
        named["test"] = read_lines(tests, root or tests.parent)
    labels = {label for _, label in named["train"]}
    numbers = all(label.isdecimal() for label in labels)
    values = sorted(labels, key=int) if numbers else sorted(labels)
    folders = {(path.parent.name, label) for path, label in named["train"]}
    names = values
    if numbers and len(folders) == len(values) == len({folder for folder, _ in folders}):
        folder_of = {label: folder for folder, label in folders}
        names = [folder_of[value] for value in values]
    for path, label in named.get("test", ()):
        if label not in labels:
            raise DatasetError(f"{tests}: label {label} of {path} does not occur in {place}")
    number = {value: i for i, value in enumerate(values)}
    files = {split: [(path, number[label]) for path, label in lines] for split, lines in named.items()}
    return Photographs(class_names=tuple(names), files=files)


def read_lines(place: Path, root: Path) -> list[tuple[Path, str]]:
    """Read the lines of a list."""
    if not place.is_file():
        raise DatasetError(f"{place} is not a file")
    with reading(place):
        lines = place.read_text(encoding="utf-8-sig").splitlines()
    named = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        path, _, label = line.strip().replace("\t", " ").rpartition(" ")
        if not path.strip():
            raise DatasetError(f"{place} line {number} must be a path and a label, got {line.strip()[:80]!r}")
        file = root / path.strip()
        if not os.path.isfile(file):  # Path.is_file raises where a name is too long
            raise DatasetError(f"{place} line {number}: there is no image {file}")
        named.append((file, label))
    if not named:
        raise DatasetError(f"{place} names no image; write a path and a label on each line")
    return named
