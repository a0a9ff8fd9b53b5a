"""The linear support vector machine on the source: the shallow baseline of Ganin et al. (2016)."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.methods.fitted import Fitted, Floats


@dataclass(frozen=True, kw_only=True)
class SVM(Fitted):
    """Minimises |(w, b)|² / 2 + c · Σ max(0, 1 - y (w x + b))², one class against the others.

    The paper does not say which solver it used; this is liblinear's, whose bias is regularised, too.
    """

    name = "svm"
    reads = "source"

    def fit(self, source: Floats, labels: NDArray[np.int64], target: Floats | None) -> tuple[Floats, Floats]:
        return fit_svm(source, labels, self.c)


def fit_svm(inputs: Floats, labels: NDArray[np.int64], c: float) -> tuple[Floats, Floats]:
    """Weights `(C, F)` and biases `(C,)` of inputs `(N, F)`; a class without a sample is never predicted.

    Where F > N the weights are sums of samples: the machine is fitted on their N coordinates in an orthonormal basis of
    that span, which have the same inner products, and is mapped back.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    classes, count = np.unique(labels), int(labels.max()) + 1
    if len(classes) == 1:  # as a reversed run's labels may be
        return np.zeros((count, inputs.shape[1])), np.where(np.arange(count) == classes[0], 1.0, -1.0)
    inputs, basis = inputs.astype(np.float64), None
    if inputs.shape[1] > len(inputs):
        squares, vectors = np.linalg.eigh(inputs @ inputs.T)
        spanning = squares > squares[-1] * np.finfo(float).eps * len(inputs)
        basis = inputs.T @ (vectors[:, spanning] / np.sqrt(squares[spanning]))  # (F, rank)
        inputs = vectors[:, spanning] * np.sqrt(squares[spanning])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        machine = LinearSVC(C=c, dual=False, tol=1e-6, max_iter=10_000).fit(inputs, labels)
    directions, offsets = machine.coef_, machine.intercept_
    if len(classes) == 2:  # one direction decides between the two
        directions, offsets = np.concatenate([-directions, directions]) / 2, np.concatenate([-offsets, offsets]) / 2
    weights, biases = np.zeros((count, inputs.shape[1])), np.full(count, -np.inf)
    weights[classes], biases[classes] = directions, offsets
    biases = np.maximum(biases, offsets.min() - 1e3)  # finite, for whoever averages logits
    return weights @ basis.T if basis is not None else weights, biases
