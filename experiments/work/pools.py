"""Which pool trains: processes here, a Ray cluster or SLURM."""

from collections.abc import Sequence
from pathlib import Path

from experiments.errors import BadInput
from experiments.training.machine import AUTOMATIC, Machine
from experiments.work.driver import Pool
from experiments.work.local import Local

WORKER_BYTES = 700 << 20  # of a worker that trains a small network: its imports above all


def open_pool(
    bundles: int,
    *,
    workers: int,
    machine: Machine = AUTOMATIC,
    modules: Sequence[str] = (),
    cluster: str = "",
    slurm: str = "",
    gpus: float = 0.0,
) -> Pool:
    """The pool for a number of bundles.

    Raises:
        BadInput: both engines are asked for, one does not answer, or the workers need more memory than is free.
    """
    if gpus and not cluster:
        raise BadInput(f"gpus is what a bundle takes of a cluster: it needs cluster, got gpus {gpus} without")
    if cluster and slurm:
        raise BadInput(f"cluster and slurm exclude each other, got {cluster!r} and {slurm!r}")
    if cluster:
        from experiments.work.ray import Ray

        return Ray(cluster, machine, modules, gpus=gpus)
    if slurm:
        from experiments.work.slurm import Slurm, read_options

        return Slurm(min(workers, bundles), read_options(slurm), machine, modules)
    count = min(workers, bundles)
    if (free := free_bytes()) is not None and count > 1 and count * WORKER_BYTES > free:
        most = max(1, free // WORKER_BYTES)
        raise BadInput(f"workers must be at most {most} for the {free >> 20:,} MiB of free memory, got {workers}")
    return Local(count, machine, modules)


def free_bytes() -> int | None:
    """Memory that processes can still take; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), None)
