"""The endless order in which the samples of one split are drawn."""

import torch
from torch import Tensor

from datasets.batches.streams import permutation


class Order:
    """Every sample once per pass, each pass in a new order, which follows from seed and name alone."""

    def __init__(self, seed: int, name: str, length: int, device: torch.device | str = "cpu") -> None:
        """Begin before the first sample.

        Args:
            seed: any integer.
            name: of the split; two splits have independent orders under one seed.
            length: samples per pass.
            device: of the indices.
        """
        self.seed, self.name, self.length, self.device = seed, name, length, device
        self.position = 0  # samples handed out so far; may be set
        self._pass, self._indices = -1, torch.empty(0, dtype=torch.int64)

    def take(self, count: int) -> Tensor:
        """Return the next `count` indices, int64 `(count,)`; what is missing at the end of a pass is of the next."""
        parts, wanted = [], count
        while wanted:
            number, offset = divmod(self.position, self.length)
            if number != self._pass:
                indices = permutation(self.seed, f"{self.name} order {number}", self.length)
                self._pass, self._indices = number, torch.from_numpy(indices).to(self.device)
            parts.append(self._indices[offset : offset + wanted])
            self.position += len(parts[-1])
            wanted -= len(parts[-1])
        return parts[0] if len(parts) == 1 else torch.cat(parts)
