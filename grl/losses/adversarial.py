"""What every adversarial loss here returns, and what they share."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Network = Callable[[Tensor], Tensor]


class AdversarialLoss(NamedTuple):
    """A loss to add to the label loss, and what its adversary said.

    Args:
        loss: the scalar that everything minimises; the reversal is inside, so add it, never subtract it; 0-d.
        domain_logits: the adversary's logits of "this sample is from the target", `(N,)`; None where it gives no
            verdict per sample.
    """

    loss: Tensor
    domain_logits: Tensor | None = None


def require_domain_labels(domain_labels: Tensor, features: Tensor) -> Tensor:
    """Return the domain labels as 0 and 1 in the dtype of `features`, if they are one per sample.

    Args:
        domain_labels: source 0, target 1, `(N,)`.
        features: `(N, ...)`.

    Returns:
        `(N,)`, of the dtype of `features`.

    Raises:
        ValueError: if the shape is not `(N,)`.
    """
    if domain_labels.ndim != 1 or features.ndim == 0 or len(domain_labels) != len(features) or len(features) == 0:
        raise ValueError(
            f"domain_labels must have shape (N,), one per sample, N >= 1, got {tuple(domain_labels.shape)} "
            f"for features of shape {tuple(features.shape)}"
        )
    return domain_labels.to(features.dtype)


def require_logits(name: str, logits: Tensor, features: Tensor) -> Tensor:
    """Return `logits` if they have shape `(N, C)` with the N of `features` and at least two classes, else raise."""
    if logits.ndim != 2 or len(logits) != len(features) or logits.shape[1] < 2:
        raise ValueError(f"{name} must have shape ({len(features)}, C) with C >= 2, got {tuple(logits.shape)}")
    return logits


def flatten_logits(domain_logits: Tensor, features: Tensor) -> Tensor:
    """Return the output of a domain classifier, `(N,)` or `(N, 1)`, as `(N,)`; raise on any other shape."""
    if domain_logits.shape not in ((len(features),), (len(features), 1)):
        raise ValueError(
            f"domain_classifier must return one logit per sample, ({len(features)},) or ({len(features)}, 1), "
            f"got {tuple(domain_logits.shape)}"
        )
    return domain_logits.reshape(len(features))


def average_where(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of `values` weighted by `weights`, and 0 where all weights are 0; no wait for the device.

    Args:
        values: `(N,)`.
        weights: >= 0, `(N,)`.

    Returns:
        The weighted mean, 0-d.
    """
    total = weights.sum()
    return torch.where(weights > 0, values * weights, 0.0).sum() / torch.where(total > 0, total, 1.0)
