"""The domain loss of DANN: who tells source from target, and features that do not let them."""

import torch.nn.functional as F
from torch import Tensor

from grl.losses.adversarial import AdversarialLoss, Network, flatten_logits, require_domain_labels
from grl.reversal import gradient_reversal


def domain_loss(domain_logits: Tensor, domain_labels: Tensor) -> Tensor:
    """Return the mean binary cross entropy of the domain logits, in nats.

    L_d = mean_i [log(1 + exp(z_i)) - d_i · z_i], with logits z and domain labels d.

    A classifier that says 0.5 everywhere reads ln 2 = 0.693. Ganin et al., JMLR 17 (2016), equation 9, sums the
    means of the two domains instead: twice this where both have as many samples.

    Args:
        domain_logits: logits of "this sample is from the target", `(N,)`.
        domain_labels: source 0, target 1, any dtype, `(N,)`.

    Returns:
        The loss, 0-d.

    Raises:
        ValueError: if a shape is not `(N,)` or they differ.

    >>> import torch
    >>> domain_loss(torch.zeros(4), torch.tensor([0, 0, 1, 1]))
    tensor(0.6931)
    """
    if domain_logits.ndim != 1 or domain_logits.shape != domain_labels.shape or domain_logits.numel() == 0:
        raise ValueError(
            "domain_logits and domain_labels must both have shape (N,) with N >= 1, "
            f"got {tuple(domain_logits.shape)} and {tuple(domain_labels.shape)}"
        )
    return F.binary_cross_entropy_with_logits(domain_logits, domain_labels.to(domain_logits.dtype))


def domain_adversarial_loss(
    domain_classifier: Network, features: Tensor, domain_labels: Tensor, alpha: float | Tensor = 1.0
) -> AdversarialLoss:
    """Return DANN's adversarial term: L_d(D(R(f)), d), with the reversal R in front of the domain classifier D.

    The classifier minimises its loss, the features f maximise it alpha times. Ganin et al., JMLR 17 (2016),
    section 4.2.

    Args:
        domain_classifier: features `(N, F)` to logits `(N,)` or `(N, 1)`.
        features: source and target together, `(N, F)`.
        domain_labels: source 0, target 1, `(N,)`.
        alpha: the coefficient of the reversal, finite and >= 0.

    Returns:
        The loss, 0-d, and the domain logits, `(N,)`.

    Raises:
        ValueError: if a shape is not as said, or alpha is out of range.
    """
    require_domain_labels(domain_labels, features)
    domain_logits = flatten_logits(domain_classifier(gradient_reversal(features, alpha)), features)
    return AdversarialLoss(domain_loss(domain_logits, domain_labels), domain_logits)
