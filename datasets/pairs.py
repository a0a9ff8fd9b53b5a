"""A pair of domains as a training run sees it: source labels open, target labels locked away."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real

import numpy as np
import torch

from datasets.agreement import agree
from datasets.batches.order import Order
from datasets.batches.splits import Labelled, Unlabelled, by_domain, join
from datasets.conversions import Conversion
from datasets.domains.base import SPLITS, Domain
from datasets.domains.preparing import prepare_domain
from datasets.errors import DatasetError
from datasets.files.prepared import Arrays
from datasets.msda import represent

READERS = ("target_only", "oracle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The splits that measure a trained network. The evaluator reads them; training never does.

    Attributes:
        source_test: what the source accuracy is reported on.
        target_test: what the target accuracy is reported on.
        source_validation: what was held out of the source's training split, to choose by; None where nothing was.
        target_validation: the same of the target, which has no labels.
    """

    source_test: Labelled
    target_test: Labelled
    source_validation: Labelled | None = None
    target_validation: Unlabelled | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainPair:
    """A source with labels and a target without.

    Attributes:
        id: as in `load_pair("mnist_to_mnist_m")`.
        title: as printed, "MNIST → MNIST-M".
        source_name: title of the source domain, or of all.
        target_name: title of the target domain, or of all.
        class_names: in the order of the labels, the same for all; a target may lack some.
        shape: of one sample, `(H, W, C)` or `(D,)`, the same for all.
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

    @property
    def domains(self) -> int:
        """How many domains there are, sources and targets."""
        return len(by_domain(self.source)) + len(by_domain(self.target))

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


def load_pair(
    name: str,
    root: str | os.PathLike[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> DomainPair:
    """Open a pair of domains; prepare them first where the files are at hand. Never downloads.

    Args:
        name: a published pair ("moons", "mnist_to_mnist_m", …) or `<source>_to_<target>` of any two domains, or of
            several, `a+b_to_c`: then the splits hold one domain after the other, and `Labelled.domains` which is which.
        root: where original files lie; default `GRL_DATA`, else `data/` in the checkout.
        class_names: keep only these classes of both, numbered in this order; default all, which must then agree.

    Raises:
        DatasetError: an unknown name, missing or bad files, or domains that do not fit each other.
    """
    agreement = agree(name, class_names)
    prepared = [prepare_domain(domain, root) for domain in agreement.domains]
    sides = [
        Side(domain, opened.arrays, conversion, agreement.class_names)
        for domain, opened, conversion in zip(agreement.domains, prepared, agreement.conversions, strict=True)
    ]
    if agreement.entry.msda:
        represented = represent(*prepared)
        for side, role in zip(sides, ("source", "target"), strict=True):
            side.arrays = side.arrays | {f"{split}_inputs": represented.arrays[f"{role}_{split}"] for split in SPLITS}
    sources, targets = sides[: agreement.sources], sides[agreement.sources :]
    target_train = join([side.open("train") for side in targets])
    source_name, target_name = agreement.titles
    return DomainPair(
        id=name,
        title=f"{source_name} → {target_name}",
        source_name=source_name,
        target_name=target_name,
        class_names=agreement.class_names,
        shape=agreement.shape,
        protocol=agreement.protocol(prepared),
        conversions=agreement.steps,
        fingerprint=agreement.fingerprint(prepared),
        source=join([side.open("train") for side in sources]),
        target=Unlabelled(name=target_train.name, inputs=target_train.inputs, domains=target_train.domains),
        evaluation=Evaluation(
            source_test=join([side.open("test") for side in sources]),
            target_test=join([side.open("test") for side in targets]),
        ),
        _open_target=lambda: target_train,
    )


def hold_out(pair: DomainPair, share: float) -> DomainPair:
    """Take a share of both training splits away from training, the same samples for every run.

    Args:
        pair: as `load_pair` returns it.
        share: in [0, 1); 0 leaves the pair as it is.

    Returns:
        The pair whose evaluation has `source_validation` and `target_validation`.

    Raises:
        DatasetError: a share out of range, or one that leaves no sample to train on.
    """
    if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= share < 1:
        raise DatasetError(f"share must be a number in [0, 1), got {share!r}")
    if not share:
        return pair

    def divide(name: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        order = Order(0, f"{name} held out", count).take(count)
        held_out = max(1, round(share * count))
        if held_out >= count:
            raise DatasetError(f"share must leave a sample of {name!r} to train on, got {share} of {count}")
        return order[held_out:].sort().values, order[:held_out].sort().values

    source, target = pair.source, pair.target
    source_kept, source_held = divide(source.name, len(source))
    target_kept, target_held = divide(target.name, len(target))
    return replace(
        pair,
        protocol=f"{pair.protocol}; {share:.0%} of both training splits held out",
        source=source.choose(source_kept),
        target=target.choose(target_kept),
        evaluation=replace(
            pair.evaluation,
            source_validation=source.choose(source_held),
            target_validation=target.choose(target_held),
        ),
        _open_target=lambda: pair._open_target().choose(target_kept),
    )


class Side:
    """One domain of a pair on its way to tensors: converted, and cut down to the classes of the pair."""

    def __init__(self, domain: Domain, arrays: Arrays, convert: Conversion, class_names: tuple[str, ...]) -> None:
        self.domain, self.arrays, self.convert, self.class_names = domain, arrays, convert, class_names

    def open(self, split: str) -> Labelled:
        """Hand out one split; where there is no test split, all samples."""
        if f"{split}_labels" not in self.arrays:
            split = "train"
        inputs, labels = self.arrays[f"{split}_inputs"], self.arrays[f"{split}_labels"]
        if self.class_names != self.domain.class_names:
            numbers = {one: number for number, one in enumerate(self.class_names)}
            renumber = np.array([numbers.get(one, -1) for one in self.domain.class_names])
            labels = renumber[labels]
            inputs, labels = inputs[labels >= 0], labels[labels >= 0]
        name = f"{self.domain.name} {split}"
        return Labelled(name=name, inputs=torch.from_numpy(self.convert(inputs)), labels=torch.from_numpy(labels))
