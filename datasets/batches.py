"""Endless batches: the samples live on the device, a batch is an index and one fused normalise."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

import torch
from torch import Tensor

from datasets.errors import DatasetError
from datasets.splits import Labelled, Unlabelled
from datasets.streams import permutation


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs for one step: float32, images `(B, C, H, W)` in channels_last memory, features `(B, D)`."""

    inputs: Tensor


@dataclass(frozen=True, slots=True)
class LabelledBatch(Batch):
    """Inputs with class labels, int64 `(B,)`."""

    labels: Tensor


B = TypeVar("B", bound=Batch, covariant=True)


class Batches(Generic[B]):
    """An endless iterator over one split; every sample once per pass, each pass in a new order.

    The order follows from the seed and the name of the split alone: not from device, workers or interruptions. Source
    and target therefore have independent orders even under one seed (in MNIST → MNIST-M, image i of both shows the same
    digit). A batch that meets the end of a pass is filled from the next one, so every batch has the same size.
    """

    @overload
    def __init__(
        self: "Batches[LabelledBatch]",
        split: Labelled,
        batch_size: int,
        *,
        seed: int,
        mean: Tensor | None = None,
        device: torch.device | str = "cpu",
    ) -> None: ...

    @overload
    def __init__(
        self: "Batches[Batch]",
        split: Unlabelled,
        batch_size: int,
        *,
        seed: int,
        mean: Tensor | None = None,
        device: torch.device | str = "cpu",
    ) -> None: ...

    def __init__(
        self,
        split: Labelled | Unlabelled,
        batch_size: int,
        *,
        seed: int,
        mean: Tensor | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Put a split on the device.

        Args:
            split: what to draw from.
            batch_size: samples per batch, at least 1.
            seed: any integer.
            mean: subtracted from the inputs after scaling, `(C,)` or `(D,)`; None subtracts nothing.
            device: where batches are made.
        """
        check_batch_size(batch_size)
        self.split, self.batch_size, self.seed = split, batch_size, seed
        self._inputs = split.inputs.to(device)
        self._labels = split.labels.to(device) if isinstance(split, Labelled) else None
        self._shift = shift_for(self._inputs, mean)
        self._position = 0  # samples handed out so far
        self._pass, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __iter__(self) -> Iterator[B]:
        return self

    def __next__(self) -> B:
        index = self._next_index()
        inputs = normalise(self._inputs.index_select(0, index), self._shift)
        if self._labels is None:
            return Batch(inputs)  # pyright: ignore[reportReturnType] - the overloads of __init__ tie B to the split
        return LabelledBatch(inputs, self._labels.index_select(0, index))  # pyright: ignore[reportReturnType]

    def _next_index(self) -> Tensor:
        """Take the next `batch_size` numbers of the endless order."""
        parts, wanted = [], self.batch_size
        while wanted:
            number, offset = divmod(self._position, len(self.split))
            if number != self._pass:
                order = permutation(self.seed, f"{self.split.name} order {number}", len(self.split))
                self._pass, self._order = number, torch.from_numpy(order).to(self._inputs.device)
            parts.append(self._order[offset : offset + wanted])
            self._position += len(parts[-1])
            wanted -= len(parts[-1])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def state_dict(self) -> dict[str, Any]:
        """Return the position and what it refers to: a few plain values."""
        return {"position": self._position, "seed": self.seed, "split": self.split.name, "samples": len(self.split)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position that `state_dict` returned.

        Raises:
            DatasetError: the position belongs to another seed or split.
        """
        for key, mine in self.state_dict().items():
            if key not in state or (key != "position" and state[key] != mine):
                raise DatasetError(f"{key} of the saved position must be {mine!r}, got {state.get(key)!r}")
        self._position = int(state["position"])


def one_pass(
    split: Labelled,
    batch_size: int,
    *,
    mean: Tensor | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[LabelledBatch]:
    """Yield every sample once, in order; the last batch may be short. For evaluation.

    Args:
        split: what to read.
        batch_size: samples per batch, at least 1.
        mean: as for `Batches`.
        device: as for `Batches`.
    """
    check_batch_size(batch_size)
    for start in range(0, len(split), batch_size):
        part = slice(start, start + batch_size)
        inputs = split.inputs[part].to(device)
        yield LabelledBatch(normalise(inputs, shift_for(inputs, mean)), split.labels[part].to(device))


def check_batch_size(batch_size: int) -> None:
    """Refuse a batch without samples."""
    if batch_size < 1:
        raise DatasetError(f"batch_size must be at least 1, got {batch_size}")


def shift_for(inputs: Tensor, mean: Tensor | None) -> Tensor:
    """Prepare what `normalise` adds: minus the mean, or zero, on the device of the inputs.

    Raises:
        DatasetError: a mean that does not have one value per channel or feature.
    """
    if mean is None:
        return torch.zeros((), device=inputs.device)
    if mean.shape != inputs.shape[-1:]:
        raise DatasetError(f"mean must have shape {tuple(inputs.shape[-1:])}, got {tuple(mean.shape)}")
    return -mean.to(inputs.device, torch.float32)


def normalise(samples: Tensor, shift: Tensor) -> Tensor:
    """Turn gathered samples into network inputs in one fused operation.

    Args:
        samples: uint8 `(B, H, W, C)` or float32 `(B, D)`.
        shift: minus the mean, `(C,)`, `(D,)` or `()`.

    Returns:
        float32: images / 255 + shift as `(B, C, H, W)`, channels_last in memory; features + shift as `(B, D)`.
    """
    if samples.dtype == torch.uint8:
        return torch.add(shift, samples, alpha=1 / 255).permute(0, 3, 1, 2)
    return samples + shift
