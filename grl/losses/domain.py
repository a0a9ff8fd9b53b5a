"""The domain loss of DANN: who tells source from target, and features that do not let them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from grl.checks import require_tensor
from grl.losses.adversarial import AdversarialLoss, Network, average_where, read_logits, widen
from grl.losses.labels import Labels, check_labels, require_mask, spread_labels
from grl.reversal import gradient_reversal


def domain_loss(domain_logits: Tensor, domain_labels: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Return the mean cross entropy of the domain logits, in nats.

    L_d = mean_i [log(1 + exp(z_i)) - d_i · z_i] for two domains, with logits z and domain labels d;
    L_d = mean_i [log sum_k exp(z_ik) - z_i,d_i] for K of them.

    A classifier that takes all domains for equally likely reads ln K, which is ln 2 = 0.693 for two; the best that
    knows nothing but their shares reads the entropy of the domain labels. Ganin et al., JMLR 17 (2016), equation 9,
    sums the means of the two domains instead: twice this where both have as many samples.

    Args:
        domain_logits: logits of "this sample is from the target", `(N,)`, or one per domain, `(N, K)`, K >= 2. For
            sequences `(N, T)` or `(N, T, K)`.
        domain_labels: source 0, target 1, or 0 to K - 1, any dtype, `(N,)` or `(N, T)`.
        mask: True where a sample counts, of the shape of the labels; None takes all.

    Returns:
        The loss, 0-d, float32 or wider; 0 where the mask is False throughout.

    Raises:
        TypeError: if one of them is no tensor, or the mask is not bool.
        ValueError: if the shapes do not fit, or a label is out of range; where its value cannot be read without a
            wait, the loss is NaN instead.

    >>> import torch
    >>> domain_loss(torch.zeros(4), torch.tensor([0, 0, 1, 1]))
    tensor(0.6931)
    >>> domain_loss(torch.zeros(3, 3), torch.tensor([0, 1, 2]))
    tensor(1.0986)
    """
    logits, labels = read_samples(domain_logits, domain_labels, mask)
    if mask is not None:
        return average_where(measure_samples(logits, labels), mask)
    if logits.shape == labels.values.shape:
        return F.binary_cross_entropy_with_logits(logits, labels.values)
    return measure_samples(logits, labels).mean()


def read_samples(domain_logits: Tensor, domain_labels: Tensor, mask: Tensor | None) -> tuple[Tensor, Labels]:
    """Return the logits, float32 or wider and 0 where the mask is False, and the labels, both checked."""
    shape = require_tensor("domain_labels", domain_labels).shape
    logits = widen(require_tensor("domain_logits", domain_logits))
    by_domain = logits.ndim > 0 and logits.shape[:-1] == shape and logits.shape[-1] >= 2
    if not shape or domain_labels.numel() == 0 or not (logits.shape == shape or by_domain):
        raise ValueError(
            "domain_logits must have shape (N,) or (N, K), K >= 2, and domain_labels (N,), with N >= 1, "
            f"got {tuple(logits.shape)} and {tuple(shape)}"
        )
    if mask is not None:
        require_mask(mask)
        if mask.shape != shape:
            raise ValueError(f"mask must have the shape of domain_labels, {tuple(shape)}, got {tuple(mask.shape)}")
        # Padding may hold anything, and a gradient of 0 times infinity is NaN.
        logits = torch.where(mask.unsqueeze(-1) if by_domain else mask, logits, 0.0)
    return logits, check_labels(domain_labels, logits.shape[-1] if by_domain else 2, mask, logits.dtype)


def measure_samples(logits: Tensor, labels: Labels) -> Tensor:
    """Return the cross entropy of each sample, NaN where its label is out of range, in the shape of the labels."""
    values = labels.values
    if logits.shape == values.shape:
        return F.binary_cross_entropy_with_logits(logits, values, reduction="none")
    named = values.nan_to_num(0.0).long().unsqueeze(-1)
    return torch.where(values.isnan(), values, -logits.log_softmax(-1).gather(-1, named).squeeze(-1))


def domain_adversarial_loss(
    domain_classifier: Network,
    features: Tensor,
    domain_labels: Tensor,
    alpha: float | Tensor = 1.0,
    *,
    mask: Tensor | None = None,
) -> AdversarialLoss:
    """Return DANN's adversarial term: L_d(D(R(f)), d), with the reversal R in front of the domain classifier D.

    The classifier minimises its loss, the features f maximise it alpha times. Ganin et al., JMLR 17 (2016),
    section 4.2.

    Args:
        domain_classifier: features `(N, F)` to logits `(N,)` or `(N, 1)`, or to `(N, K)` for K domains; those of
            sequences `(N, T, F)` to `(N, T)`, `(N, T, 1)` or `(N, T, K)`.
        features: source and target together, `(N, F)` or `(N, T, F)`.
        domain_labels: source 0, target 1, or 0 to K - 1, `(N,)`; for sequences `(N, T)`, or `(N,)` with a mask.
        alpha: the coefficient of the reversal, finite and >= 0.
        mask: True where a sample, or a step of a sequence, counts, `(N,)` or `(N, T)`; None takes all.

    Returns:
        The loss, 0-d, and the domain logits, `(N,)` or `(N, K)`.

    Raises:
        ValueError: if a shape is not as said, a label is out of range, or alpha is.
    """
    labels = spread_labels(domain_labels, features, mask)
    domain_logits = read_logits(domain_classifier(gradient_reversal(features, alpha)), labels.shape)
    return AdversarialLoss(domain_loss(domain_logits, labels, mask=mask), domain_logits)
