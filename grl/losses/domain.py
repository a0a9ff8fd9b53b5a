"""The domain loss of DANN."""

import torch.nn.functional as F
from torch import Tensor


def domain_loss(domain_logits: Tensor, domain_labels: Tensor) -> Tensor:
    """Return the mean binary cross entropy of the domain logits, in nats.

    L_d = mean_i [ log(1 + exp(z_i)) - d_i · z_i ]

    With logits z, domain labels d (source 0, target 1). A classifier that says 0.5 everywhere reads ln 2 = 0.693.
    Ganin et al., JMLR 17 (2016), equation 9, whose sum of the two domains' means is twice this mean where both
    domains have as many samples.

    Args:
        domain_logits: logits of "this sample is from the target", floating, (N,).
        domain_labels: source 0, target 1, any dtype, (N,).

    Returns:
        The loss, 0-d.

    Raises:
        ValueError: if a shape is not (N,), or both differ; a single logit beside an axis of length one needs
            `.squeeze(1)`.
    """
    if domain_logits.ndim != 1 or domain_logits.shape != domain_labels.shape or domain_logits.numel() == 0:
        raise ValueError(
            "domain_logits and domain_labels must both have shape (N,) with N >= 1, "
            f"got {tuple(domain_logits.shape)} and {tuple(domain_labels.shape)}"
        )
    return F.binary_cross_entropy_with_logits(domain_logits, domain_labels.to(domain_logits.dtype))
