"""Endless batches: the samples live on the device, a batch is an index and a normalise in place."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.batches.augment import Augment
from datasets.batches.balanced import BalancedOrder
from datasets.batches.order import Order
from datasets.batches.splits import Labelled, Split, Unlabelled
from datasets.errors import DatasetError

RESIDENT_BYTES = 4 << 30  # larger sets stay in host memory, mapped from their file, and travel batch by batch


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
        augment: Augment | None = None,
        balanced: bool = False,
        device: torch.device | str = "cpu",
        resident: bool | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self: "Batches[Batch]",
        split: Unlabelled,
        batch_size: int,
        *,
        seed: int,
        mean: Tensor | None = None,
        augment: Augment | None = None,
        balanced: bool = False,
        device: torch.device | str = "cpu",
        resident: bool | None = None,
    ) -> None: ...

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        seed: int,
        mean: Tensor | None = None,
        augment: Augment | None = None,
        balanced: bool = False,
        device: torch.device | str = "cpu",
        resident: bool | None = None,
    ) -> None:
        """Put a split on the device.

        Args:
            split: what to draw from.
            batch_size: samples per batch, at least 1.
            seed: any integer.
            mean: subtracted from the inputs after scaling, `(C,)` or `(D,)`; None subtracts nothing.
            augment: how images vary; None leaves them as they are.
            balanced: every class of a labelled split equally often (`BalancedOrder`).
            device: where batches arrive.
            resident: keep all samples on the device; None does so up to `RESIDENT_BYTES`.
        """
        check_batch_size(batch_size)
        if not len(split):
            raise DatasetError(f"split {split.name!r} must have at least 1 sample, got 0")
        if resident is None:
            resident = split.inputs.nbytes <= RESIDENT_BYTES
        self.split, self.seed, self.augment = split, seed, augment or None  # one that varies nothing is none
        self.batch_size = batch_size
        self.device = torch.device(device)
        self._inputs = split.inputs.to(self.device) if resident else split.inputs
        self._labels = split.labels.to(self._inputs.device) if isinstance(split, Labelled) else None
        self._shift = shift_for(shape_after(self.augment, split), mean, self.device)
        if balanced:
            if not isinstance(split, Labelled):
                raise DatasetError(f"balanced needs labels, which split {split.name!r} has not")
            self._order = BalancedOrder(seed, split.name, split.labels, self._inputs.device)
        else:
            self._order = Order(seed, split.name, len(split), self._inputs.device)

    def __iter__(self) -> Iterator[B]:
        return self

    def __next__(self) -> B:
        position, index = self._order.position, self._order.take(self.batch_size)
        varied = None
        if self.augment:
            varied = self.augment, self.augment.bits_for(self.seed, self.split.name, position, self.batch_size)
        inputs = network_view(gather(self._inputs, index, self._shift, varied, self.device))
        # The overloads of __init__ tie B to the split: with labels it is LabelledBatch.
        if self._labels is None:
            return Batch(inputs)  # pyright: ignore[reportReturnType]
        return LabelledBatch(inputs, self._labels.index_select(0, index).to(self.device))  # pyright: ignore[reportReturnType]

    def state_dict(self) -> dict[str, Any]:
        """Return the position and what it refers to: a few plain values."""
        return {
            "position": self._order.position,
            "seed": self.seed,
            "split": self.split.name,
            "samples": len(self.split),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position that `state_dict` returned.

        Raises:
            DatasetError: the position belongs to another seed or split.
        """
        self._order.position = read_position(state, self.state_dict())


def one_pass(
    split: Labelled,
    batch_size: int,
    *,
    mean: Tensor | None = None,
    crop: int | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[LabelledBatch]:
    """Yield every sample once, in order, not augmented; the last batch may be short. For evaluation.

    Args:
        split: what to read.
        batch_size: samples per batch, at least 1.
        mean: as for `Batches`.
        crop: side of the central square to cut out of each image, the counterpart of a random crop in training.
        device: as for `Batches`.
    """
    check_batch_size(batch_size)
    inputs = split.inputs
    if crop is not None:
        Augment(crop=crop).check(tuple(inputs.shape[1:]))
        top, left = ((size - crop) // 2 for size in inputs.shape[1:3])
        inputs = inputs[:, top : top + crop, left : left + crop]
    shift = shift_for(tuple(inputs.shape[1:]), mean, torch.device(device))
    for start in range(0, len(split), batch_size):
        part = slice(start, start + batch_size)
        samples = inputs[part].to(device)
        out = torch.empty(samples.shape, device=device)
        yield LabelledBatch(network_view(normalise(samples, shift, out)), split.labels[part].to(device))


def read_position(state: dict[str, Any], mine: dict[str, Any]) -> int:
    """Return the position in `state`, if all else in it is as in `mine`.

    Raises:
        DatasetError: the position belongs to another seed or split, or is none.
    """
    for key, value in mine.items():
        if key not in state or (key != "position" and state[key] != value):
            raise DatasetError(f"{key} of the saved position must be {value!r}, got {state.get(key)!r}")
    position = state["position"]
    if isinstance(position, bool) or not hasattr(position, "__index__") or position < 0:
        raise DatasetError(f"position of the saved position must be an integer >= 0, got {position!r}")
    return int(position)


def check_batch_size(batch_size: int) -> None:
    """Refuse a batch without samples."""
    if batch_size < 1:
        raise DatasetError(f"batch_size must be at least 1, got {batch_size}")


def shape_after(augment: Augment | None, split: Split) -> tuple[int, ...]:
    """Say what shape a sample has in memory once it is varied.

    Raises:
        DatasetError: samples that cannot be varied so.
    """
    shape = tuple(split.inputs.shape[1:])
    return augment.check(shape) if augment else shape


def shift_for(shape: tuple[int, ...], mean: Tensor | None, device: torch.device) -> Tensor:
    """Spread minus the mean over a whole sample: one long contiguous row is added much faster than many short ones.

    Args:
        shape: of a sample.
        mean: `(C,)`, `(D,)` or None.
        device: of the result.

    Returns:
        float32 of that shape.

    Raises:
        DatasetError: a mean that does not have one value per channel or feature.
    """
    if mean is None:
        return torch.zeros(shape, device=device)
    if mean.shape != shape[-1:]:
        raise DatasetError(f"mean must have shape {shape[-1:]}, got {tuple(mean.shape)}")
    return (-mean).to(device, torch.float32).expand(shape).contiguous()


def gather(
    inputs: Tensor,
    index: Tensor,
    shift: Tensor,
    varied: tuple[Augment, NDArray[np.uint64]] | None,
    device: torch.device,
) -> Tensor:
    """Pick samples, vary them, and put them on the scale that a network sees.

    Args:
        inputs: all samples, `(N, H, W, C)` or `(N, D)`, wherever they live.
        index: which of them, `(B,)`, on the same device.
        shift: minus the mean, of the shape of a sample.
        varied: how images vary and what they draw, uint64 `(B, 8)`; None leaves them as they are.
        device: of the result.

    Returns:
        float32 `(B, *shape of the shift)`.
    """
    samples = varied[0].pick(inputs, index, varied[1]) if varied else inputs.index_select(0, index)
    samples = samples.to(device)
    out = torch.empty(samples.shape, device=device)
    if varied and varied[0].colour:
        return varied[0].vary_colour(torch.mul(samples, 1 / 255, out=out), varied[1]).add_(shift)
    return normalise(samples, shift, out)


def normalise(samples: Tensor, shift: Tensor, out: Tensor) -> Tensor:
    """Write samples / 255 + shift for uint8 images, samples + shift for features.

    Args:
        samples: uint8 `(B, H, W, C)` or float32 `(B, D)`.
        shift: minus the mean, of the shape of a sample.
        out: float32, of the shape of the samples.

    Returns:
        `out`.
    """
    if samples.dtype != torch.uint8:
        return torch.add(samples, shift, out=out)
    # Widened first, then scaled and shifted in place by one operation: an operation on both types would allocate a
    # widened copy of its own, which for large images takes longer than the arithmetic.
    return torch.add(shift, out.copy_(samples), alpha=1 / 255, out=out)


def network_view(samples: Tensor) -> Tensor:
    """Show images `(B, H, W, C)` as `(B, C, H, W)`, which is then channels_last in memory; leave features alone."""
    return samples.permute(0, 3, 1, 2) if samples.ndim == 4 else samples
