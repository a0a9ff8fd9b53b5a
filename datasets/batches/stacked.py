"""The batches of many seeds side by side, for training many networks at once."""

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
from datasets.batches.splits import Labelled, Unlabelled
from datasets.errors import DatasetError


class StackedBatches:
    """An endless iterator over one split for several members; each gets the batches that `Batches` gives its seed.

    One gather and one normalisation serve all members.
    """

    def __init__(
        self,
        split: Labelled | Unlabelled | Sequence[Labelled | Unlabelled],
        batch_size: int,
        *,
        seeds: Sequence[int],
        mean: Tensor | None = None,
        augment: Augment | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Put the whole split on the device.

        Args:
            split: what to draw from; or one per member, of the same inputs with labels of their own.
            batch_size: samples per member and batch, at least 1.
            seeds: one per member; members may share one.
            mean: as for `Batches`.
            augment: as for `Batches`; each member draws the values of its seed.
            device: where batches arrive.
        """
        check_batch_size(batch_size)
        if not seeds:
            raise DatasetError("seeds must name at least 1 member, got none")
        splits = [split] * len(seeds) if isinstance(split, (Labelled, Unlabelled)) else split
        split = splits[0]
        self.split, self.batch_size, self.seeds, self.augment = split, batch_size, tuple(seeds), augment or None
        self.device = torch.device(device)
        self._inputs = split.inputs.to(self.device)
        labels = [each.labels for each in splits if isinstance(each, Labelled)]
        self._labels = torch.stack(labels).to(self.device) if labels else None  # (M, N)
        self._shift = shift_for(shape_after(self.augment, split), mean, self.device)
        self._orders = {seed: Order(seed, split.name, len(split), self.device) for seed in dict.fromkeys(seeds)}

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """Return inputs `(M, B, D)` or `(M, B, C, H, W)`, and labels `(M, B)` from a split that has them."""
        varied, size = None, self.batch_size
        if augment := self.augment:
            positions = [(seed, self._orders[seed].position) for seed in self.seeds]
            bits = [augment.bits_for(seed, self.split.name, position, size) for seed, position in positions]
            varied = (augment, np.concatenate(bits))
        taken = {seed: order.take(size) for seed, order in self._orders.items()}
        index = torch.cat([taken[seed] for seed in self.seeds])
        inputs = gather(self._inputs, index, self._shift, varied, self.device)
        inputs = inputs.unflatten(0, (len(self.seeds), self.batch_size))
        if inputs.ndim == 5:
            inputs = inputs.permute(0, 1, 4, 2, 3)
        if self._labels is None:
            return Batch(inputs)
        return LabelledBatch(inputs, self._labels.gather(1, index.view(len(self.seeds), self.batch_size)))

    def state_dict(self) -> dict[str, Any]:
        """Return the position, which is the same for every seed, and what it refers to."""
        position = next(iter(self._orders.values())).position
        return {"position": position, "split": self.split.name, "samples": len(self.split)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position that `state_dict` returned.

        Raises:
            DatasetError: the position belongs to another split.
        """
        position = read_position(state, self.state_dict())
        for order in self._orders.values():
            order.position = position
