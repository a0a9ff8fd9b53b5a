"""Source and target side by side in one buffer, for a single forward pass without a copy."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.batches import Batch, Batches, LabelledBatch, network_view
from datasets.errors import DatasetError


@dataclass(frozen=True, slots=True)
class JoinedBatch:
    """Source inputs first, then target inputs; labels of the source alone.

    Attributes:
        inputs: float32 `(S + T, C, H, W)` in channels_last memory, or `(S + T, D)`.
        labels: int64 `(S,)`.
    """

    inputs: Tensor
    labels: Tensor


class JoinedBatches:
    """An endless iterator over both domains. Gives the numbers of `torch.cat` of the two batches, without its copy.

    Every batch is written into the same buffer: use it up (backward included) before asking for the next one. Autograd
    notices when it is too late. Position and order belong to the two iterators inside; save theirs.
    """

    def __init__(self, source: Batches[LabelledBatch], target: Batches[Batch]) -> None:
        """Allocate the buffer.

        Args:
            source: batches with labels.
            target: batches without, of the same shape and on the same device.
        """
        if source.shape != target.shape or source.device != target.device:
            raise DatasetError(
                "source and target must have one shape and device, "
                f"got {source.shape} on {source.device} and {target.shape} on {target.device}"
            )
        self.source, self.target = source, target
        size = source.batch_size + target.batch_size
        self._buffer = torch.empty((size, *source.shape), device=source.device)

    def __iter__(self) -> Iterator[JoinedBatch]:
        return self

    def __next__(self) -> JoinedBatch:
        labels = self.source.write_next(self._buffer[: self.source.batch_size])
        self.target.write_next(self._buffer[self.source.batch_size :])
        assert labels is not None  # a source has labels by its type
        return JoinedBatch(network_view(self._buffer), labels)
