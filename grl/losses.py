from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def domain_loss(domain_logits: Tensor, domain_labels: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(domain_logits, domain_labels)
