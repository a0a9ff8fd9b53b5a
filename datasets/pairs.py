"""A pair of domains as a training run sees it: source labels open, target labels locked away."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from datasets.catalogue import find_domain, find_pair
from datasets.conversions import Conversion, agree_on_shape
from datasets.errors import DatasetError
from datasets.preparation import prepare_domain
from datasets.prepared import Prepared
from datasets.splits import Labelled, Unlabelled

READERS = ("target_only", "oracle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The splits that measure a trained network. The evaluator reads them; training never does."""

    source_test: Labelled
    target_test: Labelled


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainPair:
    """A source with labels and a target without.

    Attributes:
        id: as in `load_pair("mnist_to_mnist_m")`.
        title: as printed, "MNIST → MNIST-M".
        source_name: title of the source domain.
        target_name: title of the target domain.
        class_names: in the order of the labels, the same for both.
        shape: of one sample, `(H, W, C)` or `(D,)`, the same for both.
        protocol: in one line, what is trained on and where the accuracy is measured; printed with every table.
        conversions: what was done to make the two agree, one sentence each.
        fingerprint: SHA-256 of the contents of both domains and of the conversions.
        source: training split of the source.
        target: training split of the target; its type has no labels.
        evaluation: for the evaluator alone.
    """

    id: str
    title: str
    source_name: str
    target_name: str
    class_names: tuple[str, ...]
    shape: tuple[int, ...]
    protocol: str
    conversions: tuple[str, ...]
    fingerprint: str
    source: Labelled
    target: Unlabelled
    evaluation: Evaluation
    _open_target: Callable[[], Labelled] = field(repr=False)

    def reveal_target_labels(self, reader: str) -> Labelled:
        """Open the labelled target training split to one of the two that may see it.

        Args:
            reader: "target_only" (the upper bound of a table) or "oracle" (selection by target accuracy, named so).

        Raises:
            DatasetError: any other reader.
        """
        if reader not in READERS:
            raise DatasetError(f"reader of target labels must be one of {', '.join(READERS)}, got {reader!r}")
        return self._open_target()


def load_pair(name: str, root: str | os.PathLike[str] | None = None) -> DomainPair:
    """Open a pair of domains; prepare them first where the files are at hand. Never downloads.

    Args:
        name: a published pair ("moons", "mnist_to_mnist_m", …) or `<source>_to_<target>` of any two domains.
        root: where original files lie; default `GRL_DATA`, else `data/` in the checkout.

    Raises:
        DatasetError: an unknown name, missing or bad files, or domains that do not fit each other.
    """
    entry = find_pair(name)
    source, target = find_domain(entry.source), find_domain(entry.target)
    if source.class_names != target.class_names:
        raise DatasetError(
            f"pair {name}: classes differ, {source.name} has {', '.join(source.class_names)}; "
            f"{target.name} has {', '.join(target.class_names)}"
        )
    shape, convert_source, convert_target = agree_on_shape(source, target)
    from_source, from_target = prepare_domain(source, root), prepare_domain(target, root)
    target_train = labelled(from_target, "train", convert_target)
    conversions = (*convert_source.steps, *convert_target.steps)
    contents = "\n".join((from_source.digest, from_target.digest, entry.protocol, *conversions))
    return DomainPair(
        id=name,
        title=f"{source.title} → {target.title}",
        source_name=source.title,
        target_name=target.title,
        class_names=source.class_names,
        shape=shape,
        protocol=entry.protocol,
        conversions=conversions,
        fingerprint=hashlib.sha256(contents.encode()).hexdigest(),
        source=labelled(from_source, "train", convert_source),
        target=Unlabelled(name=target_train.name, inputs=target_train.inputs),
        evaluation=Evaluation(
            source_test=labelled(from_source, "test", convert_source),
            target_test=labelled(from_target, "test", convert_target),
        ),
        _open_target=lambda: target_train,
    )


def labelled(prepared: Prepared, split: str, convert: Conversion) -> Labelled:
    """Hand out one split of a prepared domain as tensors."""
    inputs = convert(np.asarray(prepared.arrays[f"{split}_inputs"]))
    return Labelled(
        name=f"{prepared.facts['name']} {split}",
        inputs=torch.from_numpy(inputs),
        labels=torch.from_numpy(prepared.arrays[f"{split}_labels"]),
    )
