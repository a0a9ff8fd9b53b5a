"""MDD: an adversary that agrees with the label predictor on the source and disagrees on the target."""

import torch
import torch.nn.functional as F
from torch import Tensor

from grl.checks import require_above
from grl.losses.adversarial import AdversarialLoss, Network, average_where, require_logits, widen
from grl.losses.labels import divide
from grl.reversal import gradient_reversal


def margin_disparity_loss(
    adversary: Network,
    features: Tensor,
    label_logits: Tensor,
    domain_labels: Tensor,
    alpha: float | Tensor = 1.0,
    *,
    margin: float = 4.0,
    sources: int = 1,
    targets: int = 1,
    mask: Tensor | None = None,
) -> AdversarialLoss:
    """Return MDD's adversarial term, with p = softmax(adversary(R(f))) and y = argmax of the label logits.

    L = margin · mean_source(-log p_y) + mean_target(-log(1 - p_y))

    The adversary minimises it, the features maximise it alpha times. Zhang et al., ICML 2019,
    where the margin is called gamma = exp(rho). The paper's reversal stays at or below alpha = 0.1
    (`grl.presets.MDD`).

    Args:
        adversary: a second label head, features `(N, F)` to logits `(N, C)`.
        features: source and target together, `(N, F)`, or `(N, T, F)` for sequences.
        label_logits: the label predictor's, `(N, C)` or `(N, T, C)`; only their argmax is used, so no gradient flows
            into them.
        domain_labels: source 0, target 1, `(N,)`; for sequences `(N, T)`, or `(N,)` with a mask.
        alpha: the coefficient of the reversal, finite and >= 0.
        margin: the weight of the source term, > 0.
        sources: how many source domains there are, labelled from 0 on; their samples are taken together.
        targets: how many target domains, labelled from `sources` on.
        mask: True where a sample, or a step of a sequence, counts, `(N,)` or `(N, T)`; None takes all.

    Returns:
        The loss, 0-d, and as domain logits the adversary's log odds of disagreeing with the label predictor,
        `(N,)`: what it says where it takes a sample for a target one.

    Raises:
        ValueError: if a shape is not as said, or a label, margin or alpha is out of range.
    """
    margin = require_above("margin", margin, 0.0)
    is_source, is_target = divide(domain_labels, features, sources, targets, mask)
    predicted = require_logits("label_logits", label_logits, features).argmax(-1, keepdim=True)  # (..., 1)
    logits = require_logits("adversary(features)", adversary(gradient_reversal(features, alpha)), features)
    if logits.shape != label_logits.shape:
        raise ValueError(
            "adversary must return as many classes as label_logits has, "
            f"{label_logits.shape[-1]}, got {logits.shape[-1]}"
        )
    logits = widen(logits)
    agree = logits.gather(-1, predicted).squeeze(-1)
    # log(1 - p_y) by the other classes' logits, which keeps its gradient where p_y is 1 in floating point.
    chosen = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, predicted, True)
    domain_logits = logits.masked_fill(chosen, -torch.inf).logsumexp(-1) - agree
    if mask is not None:
        domain_logits = torch.where(is_source + is_target != 0, domain_logits, 0.0)
    # -log p_y = softplus(z) and -log(1 - p_y) = softplus(-z), with z the log odds of disagreeing.
    source = average_where(F.softplus(domain_logits), is_source)
    target = average_where(F.softplus(-domain_logits), is_target)
    return AdversarialLoss(margin * source + target, domain_logits)
