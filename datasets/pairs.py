"""A pair of domains as a training run sees it: source labels open, target labels locked away."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.catalogue import PairEntry, find_domain, find_pair
from datasets.conversions import Conversion, agree_on_shape
from datasets.domain import SPLITS, Domain
from datasets.errors import DatasetError
from datasets.msda import LAYERS, represent
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


def protocol_of(entry: PairEntry, source: Domain, target: Domain) -> str:
    """Say in one line what is trained on and where the accuracy is measured."""
    if entry.protocol:
        return entry.protocol
    test = "the target test split" if target.counts[1] else "the same target samples"
    kind, part = ("inductive", "target training split") if target.counts[1] else ("transductive", "all target samples")
    given = "source training split" if source.counts[1] else "all source samples"
    return f"{kind}: {given} with labels, {part} without labels, accuracy on {test}"


def load_pair(
    name: str,
    root: str | os.PathLike[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> DomainPair:
    """Open a pair of domains; prepare them first where the files are at hand. Never downloads.

    Args:
        name: a published pair ("moons", "mnist_to_mnist_m", …) or `<source>_to_<target>` of any two domains.
        root: where original files lie; default `GRL_DATA`, else `data/` in the checkout.
        class_names: keep only these classes of both, numbered in this order; default all, which must then agree.

    Raises:
        DatasetError: an unknown name, missing or bad files, or domains that do not fit each other.
    """
    entry = find_pair(name)
    source, target = find_domain(entry.source), find_domain(entry.target)
    shape, source_steps, target_steps = agree_on_shape(source, target)
    kept = agree_on_classes(name, source, target, class_names)
    sides = [
        Side(domain, prepare_domain(domain, root), convert, kept)
        for domain, convert in ((source, source_steps), (target, target_steps))
    ]
    conversions = tuple(step for side in sides for step in side.steps)
    if entry.msda:
        represented = represent(name, sides[0].prepared, sides[1].prepared)
        shape = (shape[0] * (LAYERS + 1),)
        conversions += (f"both: mSDA, {LAYERS} layers fitted on the training inputs of both, beside the counts",)
        for side, role in zip(sides, ("source", "target"), strict=True):
            side.inputs = {split: represented.arrays[f"{role}_{split}"] for split in SPLITS}
    protocol = "; ".join((protocol_of(entry, source, target), *(side.shortfall for side in sides if side.shortfall)))
    contents = "\n".join((*(side.prepared.digest for side in sides), protocol, *conversions))
    target_train = sides[1].open("train")
    return DomainPair(
        id=name,
        title=f"{source.title} → {target.title}",
        source_name=source.title,
        target_name=target.title,
        class_names=kept,
        shape=shape,
        protocol=protocol,
        conversions=conversions,
        fingerprint=hashlib.sha256(contents.encode()).hexdigest(),
        source=sides[0].open("train"),
        target=Unlabelled(name=target_train.name, inputs=target_train.inputs),
        evaluation=Evaluation(source_test=sides[0].open("test"), target_test=sides[1].open("test")),
        _open_target=lambda: target_train,
    )


def agree_on_classes(name: str, source: Domain, target: Domain, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Check that both sides have the classes that the pair is about.

    Returns:
        The names of these classes.

    Raises:
        DatasetError: the classes of the two differ, or a wanted one is not in both.
    """
    shared = [one for one in source.class_names if one in target.class_names]
    if wanted is not None:
        if not wanted or len(set(wanted)) != len(wanted) or not set(wanted) <= set(shared):
            raise DatasetError(
                f"pair {name}: class_names must be different classes of both ({', '.join(shared) or 'none'}), "
                f"got {', '.join(wanted) or 'none'}"
            )
        return tuple(wanted)
    if source.class_names != target.class_names:
        both = ", ".join(shared) or "none"
        raise DatasetError(
            f"pair {name}: classes differ, {source.name} has {', '.join(source.class_names)}; "
            f"{target.name} has {', '.join(target.class_names)}; class_names can choose among those of both: {both}"
        )
    return source.class_names


class Side:
    """One domain of a pair on its way to tensors: converted, and cut down to the classes of the pair."""

    def __init__(self, domain: Domain, prepared: Prepared, convert: Conversion, class_names: tuple[str, ...]) -> None:
        self.domain, self.prepared, self.convert, self.class_names = domain, prepared, convert, class_names
        self.inputs: dict[str, NDArray[np.generic]] = {}  # replaces what is prepared

    @property
    def steps(self) -> tuple[str, ...]:
        """What is done to this domain, one sentence each."""
        if self.class_names == self.domain.class_names:
            return self.convert.steps
        return (*self.convert.steps, f"{self.domain.name}: only the classes {', '.join(self.class_names)}")

    @property
    def shortfall(self) -> str:
        """Say how much of a partial domain is there; empty when it is complete."""
        here = [len(self.prepared.arrays.get(f"{split}_labels", ())) for split in SPLITS]
        total = sum(self.domain.counts)
        return "" if sum(here) == total else f"PARTIAL {self.domain.name}: {sum(here):,} of {total:,} samples"

    def open(self, split: str) -> Labelled:
        """Hand out one split; where there is no test split, all samples."""
        if f"{split}_labels" not in self.prepared.arrays:
            split = "train"
        inputs = self.inputs.get(split, self.prepared.arrays[f"{split}_inputs"])
        labels = self.prepared.arrays[f"{split}_labels"]
        if self.class_names != self.domain.class_names:
            numbers = [self.domain.class_names.index(one) for one in self.class_names]
            renumber = np.full(len(self.domain.class_names), -1)
            renumber[numbers] = np.arange(len(numbers))
            labels = renumber[labels]
            inputs, labels = inputs[labels >= 0], labels[labels >= 0]
        name = f"{self.domain.name} {split}"
        return Labelled(name=name, inputs=torch.from_numpy(self.convert(inputs)), labels=torch.from_numpy(labels))
