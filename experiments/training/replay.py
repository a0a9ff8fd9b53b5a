"""Batches as plain tensors, and a function of tensors as one CUDA graph that is replayed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from datasets import Batch, LabelledBatch

Drawn = dict[str, tuple[Tensor, ...]]  # by domain: inputs, and labels where there are some


def tensors_of(batches: dict[str, Batch]) -> Drawn:
    """What the batches of a step hold."""
    return {
        domain: (batch.inputs, batch.labels) if isinstance(batch, LabelledBatch) else (batch.inputs,)
        for domain, batch in batches.items()
    }


def batches_of(drawn: Drawn) -> dict[str, Batch]:
    """The batches that `tensors_of` took apart."""
    return {domain: LabelledBatch(*parts) if len(parts) == 2 else Batch(*parts) for domain, parts in drawn.items()}


class Replayed:
    """A function of tensors whose operations were recorded once and are started by a single call.

    Tensors that `run` holds are read and written where they lie. What it returns is overwritten by the next call.
    `run` must not wait for the device; it is called once, on `arguments`, before it is recorded, because libraries
    choose their kernels in a first call.
    """

    def __init__(self, run: Callable[..., Any], *arguments: Any):
        self._arguments = pytree.tree_map(torch.clone, arguments)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            run(*self._arguments)
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._returned = run(*self._arguments)

    def __call__(self, *arguments: Any) -> Any:
        pytree.tree_map(Tensor.copy_, self._arguments, arguments)
        self._graph.replay()
        return self._returned
