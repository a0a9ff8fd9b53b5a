"""Domain labels: one rule for all losses.

They are integers from 0 on, of any dtype. What is out of range is refused where the values can be read at once, on
the CPU in eager mode; elsewhere, on an accelerator, in a compiled program or under a transform, reading would wait or
cannot be, and the loss becomes NaN.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from grl.checks import is_readable, require_count, require_tensor


class Labels(NamedTuple):
    """Domain labels that have been checked.

    Args:
        values: float32 or wider, of the shape of the samples; NaN where a label that could not be read is out of
            range, 0 where the mask is False.
        mask: which samples count, bool, of the same shape; None where all do.
    """

    values: Tensor
    mask: Tensor | None

    def weigh(self, low: int, high: int) -> Tensor:
        """Return 1 where the label is in [low, high) and counts, else 0; NaN where it is out of range."""
        inside = (self.values >= low) & (self.values < high)
        if self.mask is not None:
            inside = inside & self.mask
        return torch.where(self.values.isnan(), self.values, inside.to(self.values.dtype))


def spread_labels(
    domain_labels: Tensor, features: Tensor, mask: Tensor | None, *, name: str = "domain_labels"
) -> Tensor:
    """Return the domain labels in the shape of the samples: their own, or that of the mask.

    Args:
        domain_labels: one per sample, `(N,)`, or `(N, T)` for sequences.
        features: `(N, ...)` or `(N, T, ...)`.
        mask: which samples count, bool, `(N,)` or `(N, T)`, or None.
        name: what the message calls them.

    Returns:
        The labels; those of sequences are repeated where the mask has one entry per step.

    Raises:
        ValueError: if the shapes do not fit.
        TypeError: if one of them is no tensor, or the mask is not bool.
    """
    require_tensor(name, domain_labels)
    require_tensor("features", features)
    if mask is not None:
        require_mask(mask)
        if domain_labels.ndim < mask.ndim and domain_labels.shape == mask.shape[: domain_labels.ndim]:
            ones = (1,) * (mask.ndim - domain_labels.ndim)
            domain_labels = domain_labels.reshape(*domain_labels.shape, *ones).expand(mask.shape)
        if domain_labels.shape != mask.shape:
            raise ValueError(
                f"mask must have the shape of {name}, or that and the steps of each sequence, "
                f"got {tuple(mask.shape)} for {name} of shape {tuple(domain_labels.shape)}"
            )
    shape = domain_labels.shape
    if domain_labels.ndim == 0 or domain_labels.numel() == 0 or features.shape[: len(shape)] != shape:
        raise ValueError(
            f"{name} must have shape (N,), one per sample, N >= 1, got {tuple(shape)} "
            f"for features of shape {tuple(features.shape)}"
        )
    return domain_labels


def require_mask(mask: Tensor) -> None:
    """Raise unless the mask is a tensor of dtype bool."""
    if require_tensor("mask", mask).dtype != torch.bool:
        raise TypeError(f"mask must be of dtype bool, True where a sample counts, got {mask.dtype}")


def check_labels(domain_labels: Tensor, domains: int, mask: Tensor | None, dtype: torch.dtype) -> Labels:
    """Return domain labels that are integers in [0, domains).

    Args:
        domain_labels: of the shape of the samples.
        domains: K, how many there are.
        mask: which samples count, of the same shape, or None; labels elsewhere may be anything.
        dtype: to compute in.

    Returns:
        The labels.

    Raises:
        ValueError: if a label that can be read is out of range.
    """
    values = domain_labels.to(torch.promote_types(dtype, torch.float32))
    if mask is not None:
        values = torch.where(mask, values, 0.0)
    readable = is_readable(domain_labels)
    if readable and domains == 2 and torch.equal((values > 0).to(values.dtype), values):
        return Labels(values, mask)  # the usual case, in the fewest operations
    valid = (
        (values == 0) | (values == 1)
        if domains == 2
        else (values >= 0) & (values < domains) & (values == values.floor())
    )
    if not readable:
        return Labels(torch.where(valid, values, torch.nan), mask)
    if not bool(valid.all()):
        found = values[~valid][0].item()
        raise ValueError(f"domain_labels must be integers from 0 to {domains - 1}, got {found:g}")
    return Labels(values, mask)


def divide(
    domain_labels: Tensor, features: Tensor, sources: int, targets: int, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return what is source and what is target, for losses in which the two sides play different parts.

    Args:
        domain_labels: 0 to sources - 1 are sources, the rest targets, `(N,)` or `(N, T)`.
        features: `(N, ...)` or `(N, T, ...)`.
        sources: how many source domains there are.
        targets: how many target domains.
        mask: which samples count, bool, `(N,)` or `(N, T)`, or None.

    Returns:
        Ones for sources and ones for targets, zeros elsewhere, float32 or wider, of the shape of the samples.

    Raises:
        ValueError: if a shape does not fit, a label is out of range, or a number of domains is not positive.
    """
    domains = require_count("sources", sources) + require_count("targets", targets)
    spread = spread_labels(domain_labels, features, mask)
    labels = check_labels(spread, domains, mask, features.dtype)
    return labels.weigh(0, sources), labels.weigh(sources, domains)
