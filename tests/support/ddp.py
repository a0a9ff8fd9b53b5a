"""Gradient reversal under DistributedDataParallel: two processes on this machine, gloo, every dtype in one go."""

import functools
import multiprocessing
import os
import socket

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from grl import GradientReversal

ALPHA = 0.3
DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "complex64": torch.complex64,
}


class _Network(nn.Module):
    def __init__(self, dtype: torch.dtype, reverse: nn.Module) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Parameter(torch.randn(3, 4, generator=generator).to(dtype))
        self.second = nn.Parameter(torch.randn(4, 2, generator=generator).to(dtype))
        self.reverse = reverse

    def forward(self, x: Tensor) -> Tensor:
        return (self.reverse(x @ self.first) @ self.second).abs().sum()


def _compare(dtype: torch.dtype, forwards: int, rank: int) -> str:
    """Train nothing, but compare the averaged gradients with those of one process that sees all batches."""
    batches = [torch.randn(forwards, 5, 3, generator=torch.Generator().manual_seed(1 + r)).to(dtype) for r in range(2)]
    network = DistributedDataParallel(_Network(dtype, GradientReversal(ALPHA)))
    sum((network(x) for x in batches[rank]), torch.zeros(())).backward()
    plain = _Network(dtype, nn.Identity())
    sum((plain(x) / 2 for batch in batches for x in batch), torch.zeros(())).backward()
    tolerance = 32 * torch.finfo(dtype).eps
    for name, factor in (("first", -float(torch.tensor(ALPHA))), ("second", 1.0)):
        measured = getattr(network.module, name).grad
        expected = factor * getattr(plain, name).grad
        error = ((measured - expected).abs().max() / expected.abs().max()).item()
        if not error <= tolerance:
            return f"{name} gradient is off by {error:.2g} with {forwards} forwards"
    return "right"


def _work(rank: int, port: int, outcomes: "multiprocessing.Queue[dict[str, str]]") -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    found = {}
    for name, dtype in DTYPES.items():
        try:
            results = [_compare(dtype, forwards, rank) for forwards in (1, 2)]
            found[name] = next((result for result in results if result != "right"), "right")
        except RuntimeError as error:  # such as a dtype that gloo does not carry
            found[name] = str(error)
    outcomes.put(found)
    dist.barrier()
    dist.destroy_process_group()


@functools.cache
def run_ddp() -> dict[str, str]:
    """Return for each dtype "right", or what is wrong."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    outcomes = context.Queue()
    workers = [context.Process(target=_work, args=(rank, port, outcomes), daemon=True) for rank in range(2)]
    for worker in workers:
        worker.start()
    first, second = outcomes.get(timeout=120), outcomes.get(timeout=120)
    for worker in workers:
        worker.join(60)
    return {name: first[name] if first[name] != "right" else second[name] for name in first}
