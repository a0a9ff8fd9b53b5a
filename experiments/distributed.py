"""One run in several processes that torchrun started; without torchrun there is one, the first.

All of them draw the same order and take their part of each batch. The first alone evaluates, records and delivers.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from experiments.errors import BadInput, WorkerDied
from experiments.machine import Machine

T = TypeVar("T")


@contextmanager
def joined(machine: Machine) -> Iterator[Machine]:
    """Inside the block, be one of the processes that torchrun started, if it did; gives the machine of this one."""
    if not dist.is_torchelastic_launched():
        yield machine
        return
    machine = machine.for_worker(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if machine.prepare().type == "cuda" else "gloo")
    try:
        yield machine
    finally:
        dist.destroy_process_group()


def place() -> tuple[int, int]:
    """The number of this process, from 0, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def agree(decide: Callable[[], T]) -> T:
    """What `decide` returns or raises in the first process, in all of them; the others do not call it."""
    rank, count = place()
    if count == 1:
        return decide()
    outcome: list[Any] = [None, None]
    if rank == 0:
        try:
            outcome[0] = decide()
        except Exception as error:
            outcome[1] = error
    with _exchanging():
        dist.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def gather(value: T) -> list[T]:
    """`value` of every process, in their order, in all of them."""
    _, count = place()
    if count == 1:
        return [value]
    values: list[Any] = [None] * count
    with _exchanging():
        dist.all_gather_object(values, value)
    return values


def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in place and in one exchange."""
    _, count = place()
    if count == 1:
        return
    tensors = list(tensors)
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    with _exchanging():
        dist.all_reduce(flat)
    flat /= count
    for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


@contextmanager
def _exchanging() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise WorkerDied("another process of this training has ended; the same command goes on") from error


def share_batch_statistics(networks: nn.Module, device: torch.device) -> None:
    """Have the BatchNorm layers inside `networks`, if any, take their statistics over all processes.

    Raises:
        BadInput: there are such layers and the device is not CUDA.
    """
    _, count = place()
    has_batch_norm = any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in networks.modules())
    if count == 1 or not has_batch_norm:
        return
    if device.type != "cuda":
        raise BadInput(
            f"a network with BatchNorm can be trained in several processes on CUDA alone, got {count} on {device.type}"
        )
    nn.SyncBatchNorm.convert_sync_batchnorm(networks)
