"""The batches of many seeds and splits side by side, for training many networks at once."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets.batches.augment import Augment
from datasets.batches.batches import (
    Batch,
    LabelledBatch,
    check_batch_size,
    gather,
    read_position,
    shape_after,
    shift_for,
)
from datasets.batches.order import Order
from datasets.batches.splits import Labelled, Split, Unlabelled
from datasets.errors import DatasetError


class StackedBatches:
    """An endless iterator for several members, each over a split; each gets the batches that `Batches` gives its seed.

    One gather and one normalisation serve all members.
    """

    def __init__(
        self,
        split: Split | Sequence[Split],
        batch_size: int,
        *,
        seeds: Sequence[int],
        mean: Tensor | Sequence[Tensor] | None = None,
        augment: Augment | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Put the samples on the device, those that members share once.

        Args:
            split: what to draw from: one for all, or one per member, whose samples have one shape.
            batch_size: samples per member and batch, at least 1.
            seeds: one per member; members may share one.
            mean: as for `Batches`; one for all, or one per member.
            augment: as for `Batches`; each member draws the values of its seed.
            device: where batches arrive.
        """
        check_batch_size(batch_size)
        if not seeds:
            raise DatasetError("seeds must name at least 1 member, got none")
        self.splits = (split,) * len(seeds) if isinstance(split, (Labelled, Unlabelled)) else tuple(split)
        for name, given in (("split", self.splits), ("mean", mean)):
            if isinstance(given, Sequence) and len(given) != len(seeds):
                raise DatasetError(f"{name} must be one for all {len(seeds)} seeds, or one for each, got {len(given)}")
        for each in self.splits:
            if not len(each):
                raise DatasetError(f"split {each.name!r} must have at least 1 sample, got 0")
        if len({type(each) for each in self.splits}) > 1:
            raise DatasetError("split must have labels for all members, or for none, got some of both")
        self.batch_size, self.seeds, self.augment = batch_size, tuple(seeds), augment or None
        self.device = torch.device(device)
        self._inputs = lay_out([each.inputs for each in self.splits], self.device)
        labels = [each.labels for each in self.splits if isinstance(each, Labelled)]
        self._labels = lay_out(labels, self.device) if labels else None
        shape = shape_after(self.augment, self.splits[0])
        if mean is None or isinstance(mean, Tensor):
            self._shift = shift_for(shape, mean, self.device)
        else:
            shifts = torch.stack([shift_for(shape, each, self.device) for each in mean])
            self._shift = shifts.repeat_interleave(batch_size, 0)
        self._members = [(seed, each.name, len(each)) for seed, each in zip(seeds, self.splits, strict=True)]
        self._orders = {member: Order(*member, self.device) for member in dict.fromkeys(self._members)}

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """Return inputs `(M, B, D)` or `(M, B, C, H, W)`, and labels `(M, B)` from a split that has them."""
        varied, size = None, self.batch_size
        if augment := self.augment:
            bits = [
                augment.bits_for(member[0], member[1], self._orders[member].position, size) for member in self._members
            ]
            varied = (augment, np.concatenate(bits))
        taken = {member: order.take(size) for member, order in self._orders.items()}
        index = torch.cat([taken[member] for member in self._members])
        inputs, place = self._inputs[0], self._place(index, self._inputs[1])
        drawn = gather(inputs, place, self._shift, varied, self.device)
        drawn = drawn.unflatten(0, (len(self.seeds), size))
        if drawn.ndim == 5:
            drawn = drawn.permute(0, 1, 4, 2, 3)
        if self._labels is None:
            return Batch(drawn)
        labels, begins = self._labels
        return LabelledBatch(drawn, labels.index_select(0, self._place(index, begins)).view(len(self.seeds), size))

    def _place(self, index: Tensor, begins: Tensor | None) -> Tensor:
        return index if begins is None else (index.view(len(begins), -1) + begins.unsqueeze(1)).view(-1)

    def state_dict(self, member: int = 0) -> dict[str, Any]:
        """Return the position, which is the same for all members, and what it refers to for this one."""
        _, name, samples = self._members[member]
        return {"position": self._orders[self._members[member]].position, "split": name, "samples": samples}

    def load_state_dict(self, state: dict[str, Any], member: int = 0) -> None:
        """Go to a position that `state_dict` returned for this member.

        Raises:
            DatasetError: the position belongs to another split.
        """
        position = read_position(state, self.state_dict(member))
        for order in self._orders.values():
            order.position = position


def lay_out(tensors: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Lay the tensors of all members one behind the other, each tensor once.

    Returns:
        The whole, and where that of each member begins in it, int64 `(M,)`; None where all have the same.
    """
    distinct = {id(each): each for each in tensors}
    if len(distinct) == 1:
        return tensors[0].to(device), None
    begins = dict(zip(distinct, itertools.accumulate([0, *map(len, distinct.values())]), strict=False))
    whole = torch.cat([each.to(device) for each in distinct.values()])
    return whole, torch.tensor([begins[id(each)] for each in tensors], device=device)
