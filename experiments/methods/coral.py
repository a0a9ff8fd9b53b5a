"""Deep CORAL: the covariances of the features are made alike."""

from dataclasses import dataclass

from torch import Tensor

from experiments.methods.comparator import Comparator


@dataclass(frozen=True, kw_only=True)
class CORAL(Comparator):
    """Sun and Saenko (2016): |C_s - C_t|² / (4 F²), C the covariance of the features (N - 1 in the denominator).

    The paper chooses the weight so that both losses are about equal at the end.
    """

    name = "coral"

    def alignment(self, source: Tensor, target: Tensor) -> Tensor:
        apart = covariance(source) - covariance(target)
        return apart.square().sum() / (4 * source.shape[1] ** 2)


def covariance(features: Tensor) -> Tensor:
    """`(F, F)` of features `(N, F)`; `torch.cov` would look at values, and could not be stacked."""
    centred = features - features.mean(0)
    return centred.T @ centred / (len(features) - 1)
