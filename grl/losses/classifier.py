"""MCD in one step: two label predictors that disagree on the target, and features that make them agree."""

import torch
from torch import Tensor

from grl.losses.adversarial import AdversarialLoss, Network, average_where, require_logits, widen
from grl.losses.labels import divide
from grl.reversal import gradient_reversal


def classifier_discrepancy_loss(
    first: Network,
    second: Network,
    features: Tensor,
    domain_labels: Tensor,
    alpha: float | Tensor = 1.0,
    *,
    sources: int = 1,
    targets: int = 1,
    mask: Tensor | None = None,
) -> AdversarialLoss:
    """Return one-step MCD's adversarial term: minus the mean absolute difference of two predictors on the target.

    L = -mean_target mean_c |softmax(C_1(R(f)))_c - softmax(C_2(R(f)))_c|

    The predictors minimise it, so they drift apart; the features bring them together alpha times. Add the label
    losses of both. Saito et al., CVPR 2018, where three alternating steps do what the
    reversal does in one.

    Args:
        first: a label predictor, features `(N, F)` to logits `(N, C)`.
        second: another one, with weights of its own.
        features: source and target together, or target alone, `(N, F)`, or `(N, T, F)` for sequences.
        domain_labels: source 0, target 1, `(N,)`; for sequences `(N, T)`, or `(N,)` with a mask; source samples
            count nothing here.
        alpha: the coefficient of the reversal, finite and >= 0.
        sources: how many source domains there are, labelled from 0 on.
        targets: how many target domains, labelled from `sources` on; their samples are taken together.
        mask: True where a sample, or a step of a sequence, counts, `(N,)` or `(N, T)`; None takes all.

    Returns:
        The loss, 0-d; no verdict per sample.

    Raises:
        ValueError: if a shape is not as said, or a label or alpha is out of range.
    """
    _, is_target = divide(domain_labels, features, sources, targets, mask)
    reversed_features = gradient_reversal(features, alpha)
    one = require_logits("first(features)", first(reversed_features), features)
    two = require_logits("second(features)", second(reversed_features), features)
    if one.shape != two.shape:
        raise ValueError(f"first and second must return as many classes, got {one.shape[-1]} and {two.shape[-1]}")
    if mask is not None:
        one, two = (torch.where(mask.unsqueeze(-1), logits, 0.0) for logits in (one, two))
    distance = (widen(one.softmax(-1)) - widen(two.softmax(-1))).abs().mean(-1)
    return AdversarialLoss(-average_where(distance, is_target))
