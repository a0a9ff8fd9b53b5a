"""CDAN: the domain classifier sees the features together with the predicted classes."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from grl.checks import require_count
from grl.losses.adversarial import (
    AdversarialLoss,
    Network,
    average_where,
    read_logits,
    require_logits,
    widen,
)
from grl.losses.domain import domain_loss, measure_samples, read_samples
from grl.losses.labels import spread_labels
from grl.reversal import gradient_reversal


class MultilinearMap(nn.Module):
    """The outer product of features and class probabilities, `T(f, g) = vec(f ⊗ g)`; Long et al., NeurIPS 2018.

    Returns `(N, F · C)` from `(N, F)` and `(N, C)`, or `(N, T, F · C)` from those of sequences.
    """

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        """Return the outer product of each sample, flattened."""
        return (features.unsqueeze(-1) * probabilities.unsqueeze(-2)).flatten(-2)


class RandomisedMultilinearMap(nn.Module):
    """The outer product seen through random projections, `T(f, g) = (R_f f) ⊙ (R_g g) / sqrt(d)`.

    Inner products of its values are those of the outer product on average. Long et al., NeurIPS 2018.
    The two matrices are buffers: drawn once, saved with the network, never trained.

    Args:
        features: F, the width of the features.
        classes: C, the number of classes.
        dimensions: d, the width of the result.
        generator: draws the matrices; None takes torch's own.
    """

    feature_matrix: Tensor
    class_matrix: Tensor

    def __init__(
        self, features: int, classes: int, dimensions: int = 1024, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        sizes = (("features", features), ("classes", classes), ("dimensions", dimensions))
        features, classes, dimensions = (require_count(name, size) for name, size in sizes)
        self.register_buffer("feature_matrix", torch.randn(features, dimensions, generator=generator))
        self.register_buffer("class_matrix", torch.randn(classes, dimensions, generator=generator))

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        """Return the projected product of each sample, `(N, d)`."""
        projected = (features @ self.feature_matrix) * (probabilities @ self.class_matrix)
        return projected / math.sqrt(self.feature_matrix.shape[1])


def build_multilinear_map(
    features: int, classes: int, *, limit: int = 4096, dimensions: int = 1024, generator: torch.Generator | None = None
) -> MultilinearMap | RandomisedMultilinearMap:
    """Return the exact map where F · C is at most `limit`, else the randomised one; Long et al. (2018).

    Args:
        features: F, the width of the features.
        classes: C, the number of classes.
        limit: the widest outer product that is formed.
        dimensions: the width of the randomised map's result.
        generator: draws the random matrices; None takes torch's own.

    Returns:
        A module that maps features `(N, F)` and probabilities `(N, C)` to `(N, F · C)` or `(N, dimensions)`.

    Raises:
        ValueError: if a size is not positive.
    """
    if require_count("features", features) * require_count("classes", classes) <= require_count("limit", limit):
        return MultilinearMap()
    return RandomisedMultilinearMap(features, classes, dimensions, generator=generator)


def conditional_domain_loss(
    domain_classifier: Network,
    features: Tensor,
    label_logits: Tensor,
    domain_labels: Tensor,
    alpha: float | Tensor = 1.0,
    *,
    multilinear_map: nn.Module | None = None,
    entropy_weights: bool = False,
    entropy_gradient: bool = False,
    mask: Tensor | None = None,
) -> AdversarialLoss:
    """Return CDAN's adversarial term: L_d(D(R(T(f, g))), d), with g = softmax(label_logits) held fixed.

    CDAN+E weighs each sample by w = 1 + exp(-H(g)), so that sure predictions count more; the weighted means of the
    domains count the same. The weights are held fixed too, unless `entropy_gradient` is set: then a gradient flows
    through w, reversed like the rest, and none through a domain's sum of weights, as in the authors' code. Long et al.,
    NeurIPS 2018.

    Args:
        domain_classifier: the mapped features, `(N, F · C)` or as wide as the map makes them, to logits `(N,)` or
            `(N, 1)`, or to `(N, K)` for K domains.
        features: source and target together, `(N, F)`, or `(N, T, F)` for sequences.
        label_logits: the label predictor's, `(N, C)` or `(N, T, C)`; no gradient flows into them but that of
            `entropy_gradient`.
        domain_labels: source 0, target 1, or 0 to K - 1, `(N,)`; for sequences `(N, T)`, or `(N,)` with a mask.
        alpha: the coefficient of the reversal, finite and >= 0.
        multilinear_map: what `build_multilinear_map` returned; None takes the outer product.
        entropy_weights: whether to weigh by entropy (CDAN+E).
        entropy_gradient: whether the weights pass a gradient on to the label logits, times -alpha.
        mask: True where a sample, or a step of a sequence, counts, `(N,)` or `(N, T)`; None takes all.

    Returns:
        The loss, 0-d, and the domain logits, `(N,)` or `(N, K)`.

    Raises:
        ValueError: if a shape is not as said, a label is out of range, or alpha is; or `entropy_gradient` without
            `entropy_weights`.
    """
    if entropy_gradient and not entropy_weights:
        raise ValueError("entropy_gradient needs entropy_weights, got entropy_weights=False")
    labels = spread_labels(domain_labels, features, mask)
    if features.ndim != labels.ndim + 1:
        raise ValueError(
            "features must have one more dimension than domain_labels, (N, F) for (N,), or (N, T, F) with labels or a "
            f"mask (N, T), got {tuple(features.shape)} for {tuple(labels.shape)}"
        )
    label_logits = require_logits("label_logits", label_logits, features)
    if mask is not None:
        label_logits = torch.where(mask.unsqueeze(-1), label_logits, 0.0)
    probabilities = label_logits.detach().softmax(-1)
    mapped = cast(Tensor, (multilinear_map or MultilinearMap())(features, probabilities))
    domain_logits = read_logits(_classify(domain_classifier, gradient_reversal(mapped, alpha), features), labels.shape)
    if not entropy_weights:
        return AdversarialLoss(domain_loss(domain_logits, labels, mask=mask), domain_logits)
    probabilities = widen(probabilities)
    weights = 1.0 + torch.exp(torch.xlogy(probabilities, probabilities).sum(-1))
    logits, checked = read_samples(domain_logits, labels, mask)
    losses, domains = measure_samples(logits, checked), 2 if logits.shape == labels.shape else logits.shape[-1]
    if entropy_gradient:  # times 1, whose gradient is the weights'
        seen = widen(gradient_reversal(label_logits, alpha)).log_softmax(-1)
        seen = torch.where(seen == -torch.inf, 0.0, seen)  # 0 · log 0 counts 0, as in xlogy, and so does its gradient
        varied = 1.0 + torch.exp((seen.exp() * seen).sum(-1))
        losses = losses * (varied / varied.detach())
    means = [average_where(losses, weights * checked.weigh(domain, domain + 1)) for domain in range(domains)]
    return AdversarialLoss(torch.stack(means).sum() / domains, domain_logits)


def _classify(domain_classifier: Network, mapped: Tensor, features: Tensor) -> Tensor:
    try:
        return domain_classifier(mapped)
    except RuntimeError as error:
        width, first = features.shape[-1], next(iter(getattr(domain_classifier, "parameters", tuple)()), None)
        if first is None or first.ndim != 2 or first.shape[1] != width or width == mapped.shape[-1]:
            raise
        raise ValueError(
            f"domain_classifier must take the mapped features, {mapped.shape[-1]} wide (features times classes, or "
            f"the width of the map), got one for the features alone, {width} wide"
        ) from error
