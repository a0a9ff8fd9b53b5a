"""Images in one folder per class, with `train` and `test` above them or not."""

from collections.abc import Sequence
from pathlib import Path

from datasets.errors import DatasetError
from datasets.files.photographs import Photographs

ENDINGS = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
HIDDEN = (".", "__")  # .ipynb_checkpoints, __MACOSX and the ._files in it
SPLIT_FOLDERS = {"train", "test", "val", "valid", "validation"}


def is_image(path: Path) -> bool:
    """Tell an image by its name."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(HIDDEN)


def list_classes(folder: Path) -> tuple[str, ...]:
    """Name the classes of a folder: its folders, in the order of their names, those of the system left out."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder")
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(HIDDEN)))


def list_folder(place: Path, tests: Path | None = None) -> Photographs:
    """List the images of a folder of classes, or of one with `train` and `test` above them.

    Args:
        place: the folder.
        tests: another folder of the same classes, for testing.

    Raises:
        DatasetError: fewer than two classes, a class without images, or one that only the test folder has.
    """
    inner = place
    if "train" in (names := set(list_classes(place))) and names <= SPLIT_FOLDERS:  # else a class of trains
        inner = place / "train"
        tests = tests or (place / "test" if "test" in names else None)
    class_names = list_classes(inner)
    if len(class_names) < 2:
        raise DatasetError(f"{inner} must hold at least two folders, one per class; it holds {len(class_names)}")
    files = {"train": files_of(inner, class_names)}
    if tests is not None:
        if unknown := set(list_classes(tests)) - set(class_names):
            raise DatasetError(f"{tests}: class {min(unknown)!r} does not occur in {inner}")
        files["test"] = files_of(tests, class_names, complete=False)
    return Photographs(class_names=class_names, files=files)


def files_of(folder: Path, class_names: Sequence[str], *, complete: bool = True) -> list[tuple[Path, int]]:
    """List the images of every class.

    Args:
        folder: holds one folder for each class.
        class_names: these folders, in the order of the labels.
        complete: refuse a class without images.

    Returns:
        Path and label of each, by class and then by file name.

    Raises:
        DatasetError: a class without images where there must be some, or no image at all.
    """
    files = []
    for label, name in enumerate(class_names):
        found = sorted((folder / name).glob("*")) if (folder / name).is_dir() else []
        images = [(path, label) for path in found if is_image(path)]
        if not images and complete:
            raise DatasetError(f"{folder / name} holds no image ({', '.join(sorted(ENDINGS))})")
        files += images
    if not files:
        raise DatasetError(f"{folder} holds no image in the folders {', '.join(class_names)}")
    return files
