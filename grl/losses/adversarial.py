"""What every adversarial loss here returns, and what they share."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from grl.checks import require_tensor

Network = Callable[[Tensor], Tensor]


class AdversarialLoss(NamedTuple):
    """A loss to add to the label loss, and what its adversary said.

    Args:
        loss: the scalar that everything minimises; the reversal is inside, so add it, never subtract it; 0-d,
            float32 or wider.
        domain_logits: the adversary's logits of "this sample is from the target", `(N,)`, or one per domain,
            `(N, K)`; None where it gives no verdict per sample.
    """

    loss: Tensor
    domain_logits: Tensor | None = None


def require_logits(name: str, logits: Tensor, features: Tensor) -> Tensor:
    """Return `logits` if they are `(N, C)` or `(N, T, C)`, C >= 2, as many as `features` has, else raise."""
    require_tensor(name, logits)
    if logits.ndim < 2 or logits.shape[:-1] != features.shape[: logits.ndim - 1] or logits.shape[-1] < 2:
        leading = ", ".join(map(str, features.shape[:-1])) if features.ndim > 1 else str(len(features))
        raise ValueError(f"{name} must have shape ({leading}, C) with C >= 2, got {tuple(logits.shape)}")
    return logits


def read_logits(domain_logits: Tensor, shape: torch.Size) -> Tensor:
    """Return the output of a domain classifier as one logit per sample, or as one per sample and domain.

    Args:
        domain_logits: of the shape of the samples, of that and 1, or of that and K >= 2.
        shape: of the samples: `(N,)`, or `(N, T)` for sequences.

    Returns:
        The logits, of that shape or of that and K.

    Raises:
        ValueError: if they have any other shape.
    """
    if require_tensor("domain_classifier(features)", domain_logits).shape == (*shape, 1):
        return domain_logits.reshape(shape)
    if domain_logits.shape == shape or (domain_logits.shape[:-1] == shape and domain_logits.shape[-1] >= 2):
        return domain_logits
    samples = ", ".join(map(str, shape))
    single = f"({samples},)" if len(shape) == 1 else f"({samples})"
    raise ValueError(
        f"domain_classifier must return one logit per sample, {single} or ({samples}, 1), or one per domain, "
        f"({samples}, K), got {tuple(domain_logits.shape)}"
    )


def average_where(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of `values` weighted by `weights`, and 0 where all weights are 0; no wait for the device.

    Args:
        values: `(N,)`, or of any shape.
        weights: >= 0, of the same shape.

    Returns:
        The weighted mean, 0-d, float32 or wider: in half precision a sum over samples ends at 65,504.
    """
    values, weights = widen(values), widen(weights)
    total = weights.sum()
    return torch.where(weights > 0, values * weights, 0.0).sum() / torch.where(total == 0, 1.0, total)


def widen(values: Tensor) -> Tensor:
    """Return `values` in float32 where they are narrower."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
