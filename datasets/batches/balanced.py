"""The endless order that draws every class of a labelled split equally often."""

import torch
from torch import Tensor

from datasets.batches.order import Order


class BalancedOrder:
    """Each class once per round, in a new order each round; each sample of a class once per pass through that class.

    So many consecutive samples as there are classes hold one of each. What a class has few of comes back sooner.
    """

    def __init__(self, seed: int, name: str, labels: Tensor, device: torch.device | str = "cpu") -> None:
        """Begin before the first sample.

        Args:
            seed: any integer.
            name: of the split.
            labels: of its samples, int64 `(N,)`; a class without samples is left out.
            device: of the indices.
        """
        self.position, self.device = 0, device  # samples handed out so far; may be set
        self._members = [torch.nonzero(labels == one)[:, 0] for one in labels.unique()]
        self._classes = Order(seed, f"{name} classes", len(self._members))
        self._within = [
            Order(seed, f"{name} class {number}", len(members)) for number, members in enumerate(self._members)
        ]

    def take(self, count: int) -> Tensor:
        """Return the next `count` indices, int64 `(count,)`."""
        self._classes.position = self.position
        drawn = self._classes.take(count)
        rounds = torch.arange(self.position, self.position + count) // len(self._members)
        index = torch.empty(count, dtype=torch.int64)
        for number, members in enumerate(self._members):
            places = torch.nonzero(drawn == number)[:, 0]
            if len(places):
                self._within[number].position = int(rounds[places[0]])  # a class is drawn once in each round
                index[places] = members[self._within[number].take(len(places))]
        self.position += count
        return index.to(self.device)
