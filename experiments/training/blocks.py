"""The first layer of small steps on wide inputs, brought up to date once in many steps.

A step of plain SGD on two reviews of 5,000 words reads and writes all weights W of the first layer, to add a matrix of
rank two. A block of steps on inputs x_1, …, x_n, whose gradients g_i at what the layer puts out come one after the
other, needs W at its two ends alone:

    W x_j  at its step  =  W₀ x_j - Σ_{i before j} lr_i g_i (x_i · x_j),        W afterwards  =  W₀ - Σ_i lr_i g_i x_iᵀ

Both are products of large matrices. The numbers are those of single steps up to rounding.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from datasets import Labelled, Split, StackedBatches
from experiments.experiment import Experiment
from experiments.optimisers import SGD
from experiments.training.replay import Drawn, tensors_of

SAMPLES = 64  # of a block


def steps_of_block(recipe: Experiment, width: int, domains: int) -> int:
    """How many steps a block has; 1 where blocks are not exact or gain nothing.

    Args:
        recipe: The run.
        width: Numbers of an input.
        domains: Of how many a step draws a batch.
    """
    plain = isinstance(recipe.optimiser, SGD) and not (recipe.optimiser.momentum or recipe.optimiser.weight_decay)
    if not (recipe.network.first_layer and plain and width > SAMPLES):
        return 1
    return max(1, SAMPLES // (recipe.batch_size // 2 * domains))


def name_stream(splits: Mapping[str, Split], mean: Tensor, seed: int) -> Hashable:
    """Equal for members that draw the same inputs in the same order, whatever their labels are.

    Args:
        splits: What a member draws from, by domain.
        mean: What is subtracted from it.
        seed: Of its orders.
    """
    return (*((split.name, id(split.inputs)) for split in splits.values()), mean.numpy().tobytes(), seed)


def number(split: Split) -> Split:
    """The same samples, whose labels are their places: a stream of it serves members of other labels."""
    return replace(split, labels=torch.arange(len(split))) if isinstance(split, Labelled) else split


class Blocks:
    """The first layer of M members, step by step.

    Attributes:
        weight: `(M, F, B)`, stands for the layer's weight in a step of B inputs, which are then unit vectors.
        left: How many steps the block still has; at 0 the layer is up to date.
    """

    def __init__(
        self,
        layer: Tensor,
        batches: dict[str, StackedBatches],
        stream_of: list[int],
        splits: Sequence[Mapping[str, Split]],
    ):
        """Begin before the first step.

        Args:
            layer: The weights of the members, `(M, F, D)`; changed in place.
            batches: By domain, of splits that `number` made; members may share a stream, which is drawn once.
            stream_of: Which stream each member has.
            splits: What each member draws from, by domain; its labels are the member's.
        """
        self._layer, self._batches, self._stream_of = layer, batches, stream_of
        # By domain: the labels of all members one behind the other, and where each member's begin, (M, 1).
        self._labels: dict[str, tuple[Tensor, Tensor]] = {}
        for domain in batches:
            labels = [split.labels for split in (each[domain] for each in splits) if isinstance(split, Labelled)]
            if labels:
                begins = torch.tensor([0, *map(len, labels[:-1])]).cumsum(0).unsqueeze(1)
                self._labels[domain] = torch.cat(labels), begins
        sizes = [stream.batch_size for stream in batches.values()]
        self._size = sum(sizes)
        self._units = torch.eye(self._size).expand(len(stream_of), -1, -1).split(sizes, 1)
        self.weight = layer.new_empty(*layer.shape[:2], self._size)
        self.left = 0

    def draw(self, steps: int) -> Drawn:
        """The next step's batches, whose inputs are unit vectors; `weight` is what the layer makes of the real ones.

        Args:
            steps: How many there are in a block that begins here.
        """
        if not self.left:
            self._begin(steps)
        here = len(self._drawn) - self.left
        before, now = here * self._size, slice(here * self._size, (here + 1) * self._size)
        torch.baddbmm(
            self._outputs[..., now], self._changes[..., :before], self._products[:, :before, now], out=self.weight
        )
        drawn: Drawn = {domain: (inputs,) for domain, inputs in zip(self._batches, self._units, strict=True)}
        for domain, (labels, begins) in self._labels.items():
            _, places = self._drawn[here][domain]
            drawn[domain] += (labels[begins + places[self._stream_of]],)
        return drawn

    def update(self, slopes: Tensor, lr: float) -> None:
        """End a step.

        Args:
            slopes: Of the loss in `weight`, flat, then filled up.
            lr: The step's learning rate.
        """
        begin = (len(self._drawn) - self.left) * self._size
        change = -lr * slopes[: self.weight.numel()].view_as(self.weight)
        self._changes[..., begin : begin + self._size] = change
        self.left -= 1
        if not self.left:
            for weight, change, stream in zip(self._layer, self._changes, self._stream_of, strict=True):
                weight.addmm_(change, self._inputs[stream])

    def _begin(self, steps: int) -> None:
        self._drawn = [
            tensors_of({domain: next(stream) for domain, stream in self._batches.items()}) for _ in range(steps)
        ]
        self._inputs = torch.cat([parts[0] for each in self._drawn for parts in each.values()], 1)  # (streams, n, D)
        # One by one: the numbers of a member do not depend on its company.
        self._products = torch.stack([inputs @ inputs.T for inputs in self._inputs])[self._stream_of]
        self._outputs = torch.stack(
            [weight @ self._inputs[stream].T for weight, stream in zip(self._layer, self._stream_of, strict=True)]
        )
        self._changes = torch.zeros_like(self._outputs)
        self.left = steps
