"""Augmentations for whole batches: shift, crop and flip are one index, colour is three fused operations."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets.batches.streams import integers_below, random_bits
from datasets.errors import DatasetError

CACHED_PIXELS = 1 << 18  # numbers of so many pixels are 2 MB


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How training images vary. Each image of a batch draws its own values, the same ones on every device.

    Attributes:
        shift: up to so many pixels down, up, right and left; the edge is repeated.
        crop: side of a random square crop, in pixels; None keeps the whole image.
        flip: mirror left and right, every second time.
        colour: brightness, contrast and saturation are each multiplied by a factor in [1 - colour, 1 + colour].
    """

    shift: int = 0
    crop: int | None = None
    flip: bool = False
    colour: float = 0.0

    def __post_init__(self) -> None:
        if not whole(self.shift) or self.shift < 0:
            raise DatasetError(f"shift must be a whole number >= 0, got {self.shift!r}")
        if self.crop is not None and (not whole(self.crop) or self.crop < 1):
            raise DatasetError(f"crop must be None or a whole number >= 1, got {self.crop!r}")
        if not isinstance(self.flip, bool):
            raise DatasetError(f"flip must be True or False, got {self.flip!r}")
        if not isinstance(self.colour, (int, float)) or not 0 <= self.colour < 1:
            raise DatasetError(f"colour must be in [0, 1), got {self.colour!r}")

    def __bool__(self) -> bool:
        """Tell whether anything varies; if not, any samples will do, features too."""
        return bool(self.shift or self.crop or self.flip or self.colour)

    def check(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Refuse samples that are no images, or smaller than the crop.

        Args:
            shape: of one sample, `(H, W, C)`.

        Returns:
            The shape of a varied sample.
        """
        if len(shape) != 3:
            raise DatasetError(f"augment needs images (H, W, C), got samples of shape {shape}")
        if self.crop is None:
            return shape
        if self.crop > min(shape[:2]):
            raise DatasetError(
                f"crop must be at most {min(shape[:2])} for images {shape[0]} × {shape[1]}, got {self.crop}"
            )
        return (self.crop, self.crop, shape[2])

    def pick(self, inputs: Tensor, index: Tensor, bits: np.ndarray) -> Tensor:
        """Gather images, already shifted, cropped and flipped.

        Args:
            inputs: all images, `(N, H, W, C)`.
            index: which of them, `(B,)`.
            bits: uint64 `(B, 8)`, columns 0 to 4 are used.

        Returns:
            `(B, crop, crop, C)`, or `(B, H, W, C)` without a crop.
        """
        height, width = inputs.shape[1:3]
        rows = self._places(bits[:, 0], bits[:, 1], height)
        columns = self._places(bits[:, 2], bits[:, 3], width)
        if self.flip:
            mirrored = integers_below(bits[:, 4], 2).astype(bool)
            columns[mirrored] = columns[mirrored, ::-1]
        rows, columns = (torch.from_numpy(places).to(inputs.device) for places in (rows, columns))
        # One index into the list of all pixels is three times as fast as one per axis; in parts that stay in the cache
        # of a processor it is twice as fast again.
        every, channels = inputs.flatten(0, 2), inputs.shape[-1]
        picked = inputs.new_empty((len(index), rows.shape[1], columns.shape[1], channels))
        count = len(index) if inputs.is_cuda else max(1, CACHED_PIXELS // picked[0, ..., 0].numel())
        for start in range(0, len(index), count):
            part = slice(start, start + count)
            pixels = ((index[part, None] * height + rows[part]) * width)[:, :, None] + columns[part, None, :]
            torch.index_select(every, 0, pixels.flatten(), out=picked[part].view(-1, channels))
        return picked

    def _places(self, crop_bits: np.ndarray, shift_bits: np.ndarray, size: int) -> np.ndarray:
        """Choose which rows (or columns) of each image are read, `(B, crop or size)`."""
        kept = self.crop or size
        starts = (
            integers_below(crop_bits, size - kept + 1) + integers_below(shift_bits, 2 * self.shift + 1) - self.shift
        )
        return np.clip(starts[:, None] + np.arange(kept), 0, size - 1)

    def vary_colour(self, images: Tensor, bits: np.ndarray) -> Tensor:
        """Change brightness, contrast and saturation, then cut to [0, 1].

        Args:
            images: float32 `(B, H, W, C)` in [0, 1]; changed in place.
            bits: uint64 `(B, 8)`, columns 5 to 7 are used.

        Returns:
            The same tensor.
        """
        # 24 random bits fit a float32 exactly.
        unit = torch.from_numpy((bits[:, 5:] >> np.uint64(40)).astype(np.float32) / (1 << 24))
        factors = (1 + self.colour * (2 * unit - 1)).to(images.device)
        brightness, contrast, saturation = (factor.view(-1, 1, 1, 1) for factor in factors.unbind(1))
        images.mul_(brightness)
        images.copy_(torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast))
        images.copy_(torch.lerp(images.mean(3, keepdim=True), images, saturation))
        return images.clamp_(0, 1)

    def bits_for(self, seed: int, name: str, position: int, count: int) -> np.ndarray:
        """Draw the random bits of one batch, uint64 `(count, 8)`, from its position in the endless order."""
        return random_bits(seed, f"{name} augment {position}", count, 8)


def whole(value: object) -> bool:
    """Tell a whole number from all else; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)
