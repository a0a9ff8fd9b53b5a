"""CDAN: the domain classifier sees the features together with the predicted classes."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grl.checks import require_count
from grl.losses.adversarial import (
    AdversarialLoss,
    Network,
    average_where,
    flatten_logits,
    require_domain_labels,
    require_logits,
)
from grl.losses.domain import domain_loss
from grl.reversal import gradient_reversal


class MultilinearMap(nn.Module):
    """The outer product of features and class probabilities, `T(f, g) = vec(f ⊗ g)`; Long et al., NeurIPS 2018.

    Returns `(N, F · C)` from `(N, F)` and `(N, C)`.
    """

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        """Return the outer product of each sample, flattened."""
        return (features.unsqueeze(2) * probabilities.unsqueeze(1)).flatten(1)


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
) -> AdversarialLoss:
    """Return CDAN's adversarial term: L_d(D(R(T(f, g))), d), with g = softmax(label_logits) held fixed.

    CDAN+E weighs each sample by w = 1 + exp(-H(g)), so that sure predictions count more; the weighted means of the
    two domains count the same. The weights are held fixed too. Long et al., NeurIPS 2018.

    Args:
        domain_classifier: the mapped features to logits `(N,)` or `(N, 1)`.
        features: source and target together, `(N, F)`.
        label_logits: the label predictor's, `(N, C)`; no gradient flows into them.
        domain_labels: source 0, target 1, `(N,)`.
        alpha: the coefficient of the reversal, finite and >= 0.
        multilinear_map: what `build_multilinear_map` returned; None takes the outer product.
        entropy_weights: whether to weigh by entropy (CDAN+E).

    Returns:
        The loss, 0-d, and the domain logits, `(N,)`.

    Raises:
        ValueError: if a shape is not as said, or alpha is out of range.
    """
    targets = require_domain_labels(domain_labels, features)
    probabilities = require_logits("label_logits", label_logits, features).detach().softmax(1)
    if multilinear_map is None:
        multilinear_map = MultilinearMap()
    mapped = cast(Tensor, multilinear_map(features, probabilities))
    domain_logits = flatten_logits(domain_classifier(gradient_reversal(mapped, alpha)), features)
    if not entropy_weights:
        return AdversarialLoss(domain_loss(domain_logits, domain_labels), domain_logits)
    entropy = -torch.xlogy(probabilities, probabilities).sum(1)
    weights = 1.0 + torch.exp(-entropy)
    losses = F.binary_cross_entropy_with_logits(domain_logits, targets.to(domain_logits.dtype), reduction="none")
    source, target = average_where(losses, weights * (1.0 - targets)), average_where(losses, weights * targets)
    return AdversarialLoss((source + target) / 2.0, domain_logits)
