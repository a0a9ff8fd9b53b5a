"""DALN: the label predictor is its own critic, by the nuclear norm of its predictions."""

from typing import cast

import torch
from torch import Tensor

from grl.losses.adversarial import AdversarialLoss, Network, require_logits, widen
from grl.losses.labels import divide
from grl.reversal import gradient_reversal


def nuclear_discrepancy_loss(
    label_predictor: Network,
    features: Tensor,
    domain_labels: Tensor,
    alpha: float | Tensor = 1.0,
    *,
    sources: int = 1,
    targets: int = 1,
    mask: Tensor | None = None,
) -> AdversarialLoss:
    """Return DALN's adversarial term: minus the nuclear-norm Wasserstein discrepancy, with P = softmax(C(R(f))).

    L = -(‖P_source‖_* / N_source - ‖P_target‖_* / N_target), ‖·‖_* the sum of singular values

    The predictor C minimises it: sure and varied on the source, flat on the target; the features do the opposite
    alpha times. No domain classifier is needed. Chen et al., CVPR 2022.

    Args:
        label_predictor: features `(N, F)` to logits `(N, C)`; the one that is trained on labels.
        features: source and target together, `(N, F)`, or `(N, T, F)` for sequences.
        domain_labels: source 0, target 1, `(N,)`; for sequences `(N, T)`, or `(N,)` with a mask.
        alpha: the coefficient of the reversal, finite and >= 0.
        sources: how many source domains there are, labelled from 0 on; their samples are taken together.
        targets: how many target domains, labelled from `sources` on.
        mask: True where a sample, or a step of a sequence, counts, `(N,)` or `(N, T)`; None takes all.

    Returns:
        The loss, 0-d; no verdict per sample.

    Raises:
        ValueError: if a shape is not as said, or a label or alpha is out of range.
    """
    is_source, is_target = divide(domain_labels, features, sources, targets, mask)
    logits = require_logits("label_predictor(features)", label_predictor(gradient_reversal(features, alpha)), features)
    if mask is not None:
        logits = torch.where(mask.unsqueeze(-1), logits, 0.0)
    probabilities = widen(logits.softmax(-1))  # half precision has no singular values
    return AdversarialLoss(_average_norm(probabilities, is_target) - _average_norm(probabilities, is_source))


def _average_norm(probabilities: Tensor, chosen: Tensor) -> Tensor:
    # Rows of zeros leave the singular values as they are, so no rows need be picked, which would wait for the device.
    rows = (probabilities * chosen.nan_to_num(0.0).unsqueeze(-1)).flatten(0, -2)
    return nuclear_norm(rows) / chosen.sum().clamp(min=1.0)


def nuclear_norm(matrix: Tensor) -> Tensor:
    """Return the sum of the singular values of a matrix, NaN where it holds what is not finite.

    A singular value decomposition of such a matrix raises on the CPU, where every other loss becomes NaN.

    Args:
        matrix: `(N, C)`, float32 or wider.

    Returns:
        The norm, 0-d.
    """
    finite = matrix.isfinite()
    values = cast(Tensor, torch.linalg.svdvals(torch.where(finite, matrix, 0.0)))  # pyright: ignore
    return torch.where(finite.all(), values.sum(), torch.nan)
