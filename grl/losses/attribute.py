"""An adversary that estimates a real-valued attribute, such as age or time, and features that do not tell it."""

import torch
from torch import Tensor

from grl.checks import require_tensor
from grl.losses.adversarial import AdversarialLoss, Network, average_where, widen
from grl.losses.labels import spread_labels
from grl.reversal import gradient_reversal


def attribute_adversarial_loss(
    regressor: Network,
    features: Tensor,
    attribute: Tensor,
    alpha: float | Tensor = 1.0,
    *,
    mask: Tensor | None = None,
) -> AdversarialLoss:
    """Return the adversarial term of a real-valued attribute: the mean squared error of what is read off the features.

    L = mean_i (r(R(f_i)) - s_i)², with the reversal R in front of the regressor r

    The regressor minimises it, the features maximise it alpha times. One that knows nothing but the mean of the
    attribute reads its variance. Ganin et al. (2016) with a squared error in the place of the cross entropy.

    Args:
        regressor: features `(N, F)` to estimates `(N,)` or `(N, 1)`; those of sequences to `(N, T)` or `(N, T, 1)`.
        features: `(N, F)`, or `(N, T, F)` for sequences.
        attribute: what the features are not to tell, best standardised, `(N,)`; for sequences `(N, T)`, or `(N,)`
            with a mask.
        alpha: the coefficient of the reversal, finite and >= 0.
        mask: True where a sample, or a step of a sequence, counts, `(N,)` or `(N, T)`; None takes all.

    Returns:
        The loss, 0-d, in squared units of the attribute; no verdict per sample.

    Raises:
        ValueError: if a shape is not as said, or alpha is out of range.
    """
    attribute = spread_labels(attribute, features, mask, name="attribute")
    estimates = widen(require_tensor("regressor(features)", regressor(gradient_reversal(features, alpha))))
    if estimates.shape == (*attribute.shape, 1):
        estimates = estimates.squeeze(-1)
    if estimates.shape != attribute.shape:
        raise ValueError(
            f"regressor must return one estimate per sample, {tuple(attribute.shape)} or that and 1, "
            f"got {tuple(estimates.shape)}"
        )
    attribute = attribute.to(estimates.dtype)
    if mask is None:
        return AdversarialLoss((estimates - attribute).square().mean())
    estimates, attribute = (torch.where(mask, values, 0.0) for values in (estimates, attribute))
    return AdversarialLoss(average_where((estimates - attribute).square(), mask))
