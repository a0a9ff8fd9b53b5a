"""MDD: an adversary that agrees with the label predictor on the source and disagrees on the target."""

import torch
import torch.nn.functional as F
from torch import Tensor

from grl.checks import require_above
from grl.losses.adversarial import AdversarialLoss, Network, average_where, require_domain_labels, require_logits
from grl.reversal import gradient_reversal


def margin_disparity_loss(
    adversary: Network,
    features: Tensor,
    label_logits: Tensor,
    domain_labels: Tensor,
    alpha: float | Tensor = 1.0,
    *,
    margin: float = 4.0,
) -> AdversarialLoss:
    """Return MDD's adversarial term, with p = softmax(adversary(R(f))) and y = argmax of the label logits.

    L = margin · mean_source(-log p_y) + mean_target(-log(1 - p_y))

    The adversary minimises it, the features maximise it alpha times. Zhang et al., ICML 2019,
    where the margin is called gamma = exp(rho). The paper's reversal stays at or below alpha = 0.1
    (`grl.presets.MDD`).

    Args:
        adversary: a second label head, features `(N, F)` to logits `(N, C)`.
        features: source and target together, `(N, F)`.
        label_logits: the label predictor's, `(N, C)`; only their argmax is used, so no gradient flows into them.
        domain_labels: source 0, target 1, `(N,)`.
        alpha: the coefficient of the reversal, finite and >= 0.
        margin: the weight of the source term, > 0.

    Returns:
        The loss, 0-d, and as domain logits the adversary's log odds of disagreeing with the label predictor,
        `(N,)`: what it says where it takes a sample for a target one.

    Raises:
        ValueError: if a shape is not as said, or margin or alpha is out of range.
    """
    margin = require_above("margin", margin, 0.0)
    targets = require_domain_labels(domain_labels, features)
    predicted = require_logits("label_logits", label_logits, features).argmax(1, keepdim=True)  # (N, 1)
    logits = require_logits("adversary(features)", adversary(gradient_reversal(features, alpha)), features)
    if logits.shape != label_logits.shape:
        raise ValueError(
            f"adversary must return as many classes as label_logits has, {label_logits.shape[1]}, got {logits.shape[1]}"
        )
    agree = logits.gather(1, predicted).squeeze(1)
    # log(1 - p_y) by the other classes' logits, which keeps its gradient where p_y is 1 in floating point.
    chosen = torch.zeros_like(logits, dtype=torch.bool).scatter(1, predicted, True)
    disagree = logits.masked_fill(chosen, -torch.inf).logsumexp(1)
    domain_logits = disagree - agree
    # -log p_y = softplus(z) and -log(1 - p_y) = softplus(-z), with z the log odds of disagreeing.
    source = average_where(F.softplus(domain_logits), 1.0 - targets)
    target = average_where(F.softplus(-domain_logits), targets)
    return AdversarialLoss(margin * source + target, domain_logits)
