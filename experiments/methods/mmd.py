"""MMD: the mean embeddings of the features are made alike."""

from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.methods.comparator import Comparator

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the kernels, times the mean squared distance of the batch


@dataclass(frozen=True, kw_only=True)
class MMD(Comparator):
    """Long et al. (2015), at the features: squared maximum mean discrepancy under a mean of five Gaussian kernels.

    mean k(s, s') + mean k(t, t') - 2 mean k(s, t) over pairs of different samples, k(a, b) = exp(-|a - b|² / (2 w m)),
    where m is the mean of |a - b|² over the batch and no gradient flows into it.
    """

    name = "mmd"

    def alignment(self, source: Tensor, target: Tensor) -> Tensor:
        both, n, m = torch.cat([source, target]), len(source), len(target)
        squares = both.square().sum(1)
        distances = (squares[:, None] + squares[None] - 2 * both @ both.T).clamp(min=0)
        mean = distances.detach().mean()
        kernel = torch.stack([torch.exp(-distances / (2 * width * mean)) for width in WIDTHS]).mean(0)
        others = kernel - torch.diag(torch.diagonal(kernel))
        within = others[:n, :n].sum() / (n * (n - 1)) + others[n:, n:].sum() / (m * (m - 1))
        return within - 2 * kernel[:n, n:].mean()
