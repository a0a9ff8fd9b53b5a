"""Subspace alignment: the source seen in the target's principal directions, and a linear SVM on it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.errors import BadInput
from experiments.methods.fitted import Fitted, Floats
from experiments.methods.svm import fit_svm


@dataclass(frozen=True, kw_only=True)
class SA(Fitted):
    """Fernando et al. (2013): with the leading principal directions P_s and P_t (F, d) of each domain, a classifier
    is trained on x P_s P_sᵀ P_t of the centred source and applied to x P_t of the centred target.

    Both maps are linear, and so is the classifier: the last layer holds what is applied to the target, and the source
    accuracy is measured through it, too. Ganin et al. (2016) tried 2 to 60 dimensions and report the best on the
    target's test labels; here it is a field like any other.
    """

    name = "sa"
    reads = "source and target"
    dimensions: int = 60
    """d, of the subspaces; at most the rank of the features."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dimensions < 1:
            raise BadInput(f"method.dimensions must be >= 1, got {self.dimensions}")

    def prepare(self, source: Floats, target: Floats | None) -> tuple[Floats, Floats, Floats, Floats]:
        assert target is not None
        return source - source.mean(0), find_directions(source), find_directions(target), target.mean(0)

    def fit(
        self, prepared: tuple[Floats, Floats, Floats, Floats], labels: NDArray[np.int64], classes: int
    ) -> tuple[Floats, Floats]:
        centred, theirs, ours, mean = prepared
        if self.dimensions > (most := min(theirs.shape[1], ours.shape[1])):
            raise BadInput(f"method.dimensions must be at most {most} here, got {self.dimensions}")
        theirs, ours = theirs[:, : self.dimensions], ours[:, : self.dimensions]
        weights, biases = fit_svm(centred @ theirs @ (theirs.T @ ours), None, labels, classes, self.c)
        weights = weights @ ours.T
        return weights, biases - weights @ mean


def find_directions(features: Floats) -> Floats:
    """The principal directions of features `(N, F)`, the leading first: orthonormal columns `(F, at most N - 1)`."""
    centred = (features - features.mean(0)).astype(np.float64)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    return directions[values > values[0] * np.finfo(np.float32).eps].T
