"""From labels as people write them to the numbers of classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetError
from datasets.files.prepared import Arrays
from datasets.files.samples import Samples


def number_classes(splits: Mapping[str, Samples], wanted: Sequence[str], place: str) -> tuple[tuple[str, ...], Arrays]:
    """Number the classes from 0: named ones in the order of their names, other labels ascending.

    Args:
        splits: "train", and "test" where there is one.
        wanted: as for `choose_classes`.
        place: what is read, for messages.

    Returns:
        Class names, and `<split>_inputs` with `<split>_labels`.

    Raises:
        DatasetError: names that do not fit the labels, or a label that only the test split has.
    """
    train = splits["train"]
    values = np.arange(len(train.class_names)) if train.class_names else np.unique(train.labels)
    names, kept = choose_classes(train.class_names or tuple(map(str, values)), wanted, place)
    arrays: Arrays = {}
    for split, samples in splits.items():
        if len(samples.labels) != len(samples.inputs):
            raise DatasetError(
                f"{place}: {split} labels must be one for each of {len(samples.inputs)} inputs, "
                f"got {len(samples.labels)}"
            )
        found = in_names_of(train, samples, place) if split == "test" else samples.labels
        known = values
        if found.dtype.kind != values.dtype.kind:  # words in one split alone: what is a number is compared as it reads
            known, found = values.astype(str), found.astype(str)
        if not (here := np.isin(found, known)).all():
            stranger, shown = found[~here][0], ", ".join(map(str, values[:20]))
            raise DatasetError(f"{place}: {split} label {stranger} is not among those of the classes, {shown}")
        order = np.argsort(known)
        labels = renumber(order[np.searchsorted(known, found, sorter=order)], kept, len(values))
        arrays[f"{split}_inputs"], arrays[f"{split}_labels"] = samples.inputs[labels >= 0], labels[labels >= 0]
    return names, arrays


def in_names_of(train: Samples, test: Samples, place: str) -> NDArray[Any]:
    """Take the labels of a test split that names its classes, perhaps fewer or in another order, as those of training.

    Raises:
        DatasetError: a sample of a class that training has not.
    """
    if test.class_names in ((), train.class_names):
        return test.labels
    numbers = {name: number for number, name in enumerate(train.class_names)}
    named = dict(enumerate(test.class_names))
    found = [named.get(label, str(label)) for label in test.labels.tolist()]
    if strangers := [name for name in found if name not in numbers]:
        known = ", ".join(train.class_names) or "which have no names"
        raise DatasetError(f"{place}: test label {strangers[0]} is not among the classes of training, {known}")
    return np.asarray([numbers[name] for name in found])


def choose_classes(names: Sequence[str], wanted: Sequence[str], place: str) -> tuple[tuple[str, ...], list[int]]:
    """Choose among classes by name; or name them, where they are only numbered.

    Args:
        names: of all, in the order of their numbers.
        wanted: those that are kept, in this order; or, of classes that are called by numbers, what to call all of them.
            Empty keeps all.
        place: what is read, for messages.

    Returns:
        Names of the kept ones, and the numbers that they had.

    Raises:
        DatasetError: a wanted one is not there.
    """
    if not wanted:
        return tuple(names), list(range(len(names)))
    unknown = [name for name in wanted if name not in names]
    if unknown and len(wanted) == len(names) and all(name.lstrip("-").isdecimal() for name in names):
        return tuple(wanted), list(range(len(names)))
    if unknown:
        raise DatasetError(f"{place}: class {unknown[0]!r} is not among its {len(names)}, {', '.join(names)}")
    return tuple(wanted), [names.index(name) for name in wanted]


def renumber(labels: NDArray[Any], kept: Sequence[int], classes: int) -> NDArray[np.int64]:
    """Number the kept classes in their order; what is not kept becomes -1."""
    numbers = np.full(classes, -1)
    numbers[list(kept)] = np.arange(len(kept))
    return numbers[labels]
