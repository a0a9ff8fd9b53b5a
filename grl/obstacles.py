"""What keeps the doctor from measuring, and what it sets aside while it does."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils import _pytree as pytree

from grl.diagnosis import Named, doubt
from grl.probe import list_labels


def find_obstacle(networks: Mapping[str, nn.Module], inputs: Any, domain_labels: Tensor) -> Named | None:
    """Return why nothing can be measured here, or None.

    Args:
        networks: by the name of the argument they came as.
        inputs: a pytree of tensors.
        domain_labels: one per sample.

    Returns:
        "not finite" or "inconclusive" with a sentence; None where all is well.

    Raises:
        ValueError: if a module is still lazy.
    """
    for name, network in networks.items():
        parameters, buffers = list(network.parameters()), list(network.buffers())
        if any(is_lazy(p) for p in (*parameters, *buffers)):
            raise ValueError(f"{name} must not be lazy any more: pass one batch through it first")
        if any(hasattr(p, "device_mesh") for p in parameters) or any(map(_is_sharded, network.modules())):
            return doubt(f"the weights of {name} are divided among processes; examine it before it is sharded")
        if any(p.is_meta for p in (*parameters, *buffers)):
            return doubt(f"the weights of {name} are on meta and have no values")
        if any(p.is_inference() for p in parameters):
            return doubt(f"the weights of {name} were made under torch.inference_mode and cannot be differentiated")
        if not all(map(_is_finite, (*parameters, *buffers))):
            return "not finite", f"Weights or running averages of {name} are infinite or NaN."
    leaves: list[Tensor] = pytree.tree_leaves(inputs)
    if any(leaf.is_meta for leaf in (*leaves, domain_labels)):
        return doubt("the inputs or their domain labels are on meta and have no values")
    if not all(map(_is_finite, leaves)):
        return "not finite", "The inputs are infinite or NaN."
    if len(seen := set(list_labels(domain_labels))) < 2:
        found = f"all domain labels are {seen.pop():g}" if seen else "there is no sample"
        return doubt(f"{found}, and it takes samples of two domains; is source or target empty?")
    return None


def _is_sharded(module: nn.Module) -> bool:
    return type(module).__name__ == "FullyShardedDataParallel"  # without the import, which is slow


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


@contextmanager
def as_in_training(networks: Sequence[nn.Module], device: torch.device) -> Generator[None]:
    """Record gradients in full precision, and put buffers and the random state back when the block ends.

    Args:
        networks: the modules whose buffers may change.
        device: where they compute.

    Yields:
        Nothing.
    """
    devices = {t.device for network in networks for t in network.parameters() if t.device.type == "cuda"}
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(torch.random.fork_rng(devices=[device.index for device in devices]))  # pyright: ignore
        buffers = [buffer for network in networks for buffer in network.buffers()]
        values = [buffer.clone() for buffer in buffers]
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in zip(buffers, values, strict=True):
                    buffer.copy_(value)
