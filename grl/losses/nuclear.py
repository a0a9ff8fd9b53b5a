"""DALN: the label predictor is its own critic, by the nuclear norm of its predictions."""

from typing import cast

import torch
from torch import Tensor

from grl.losses.adversarial import AdversarialLoss, Network, require_domain_labels, require_logits
from grl.reversal import gradient_reversal


def nuclear_discrepancy_loss(
    label_predictor: Network, features: Tensor, domain_labels: Tensor, alpha: float | Tensor = 1.0
) -> AdversarialLoss:
    """Return DALN's adversarial term: minus the nuclear-norm Wasserstein discrepancy, with P = softmax(C(R(f))).

    L = -(‖P_source‖_* / N_source - ‖P_target‖_* / N_target), ‖·‖_* the sum of singular values

    The predictor C minimises it: sure and varied on the source, flat on the target; the features do the opposite
    alpha times. No domain classifier is needed. Chen et al., CVPR 2022.

    Args:
        label_predictor: features `(N, F)` to logits `(N, C)`; the one that is trained on labels.
        features: source and target together, `(N, F)`.
        domain_labels: source 0, target 1, `(N,)`.
        alpha: the coefficient of the reversal, finite and >= 0.

    Returns:
        The loss, 0-d; no verdict per sample.

    Raises:
        ValueError: if a shape is not as said, or alpha is out of range.
    """
    targets = require_domain_labels(domain_labels, features)
    logits = require_logits("label_predictor(features)", label_predictor(gradient_reversal(features, alpha)), features)
    probabilities = logits.softmax(1)
    return AdversarialLoss(_average_norm(probabilities, targets) - _average_norm(probabilities, 1.0 - targets))


def _average_norm(probabilities: Tensor, chosen: Tensor) -> Tensor:
    # Rows of zeros leave the singular values as they are, so no rows need be picked, which would wait for the device.
    rows = probabilities * chosen.unsqueeze(1)
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))  # half precision has no singular values
    norm = cast(Tensor, torch.linalg.matrix_norm(rows, ord="nuc"))  # pyright: ignore
    return norm / chosen.sum().clamp(min=1.0)
