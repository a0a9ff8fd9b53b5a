"""The linear support vector machine on the source: the shallow baseline of Ganin et al. (2016)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.methods.fitted import Fitted, Floats

MOST_ROUNDS = 100


@dataclass(frozen=True, kw_only=True)
class SVM(Fitted):
    """Minimises |(w, b)|² / 2 + c · Σ max(0, 1 - y (w x + b))², one class against the others.

    The paper does not say which machine it used; this is what liblinear minimises by default, its bias regularised.
    """

    name = "svm"
    reads = "source"

    def prepare(self, source: Floats, target: Floats | None) -> tuple[Floats, Floats | None]:
        inputs = source.astype(np.float64)
        return inputs, inputs @ inputs.T if inputs.shape[1] > len(inputs) else None

    def fit(
        self, prepared: tuple[Floats, Floats | None], labels: NDArray[np.int64], classes: int
    ) -> tuple[Floats, Floats]:
        return fit_svm(*prepared, labels, classes, self.c)


def fit_svm(
    inputs: Floats, products: Floats | None, labels: NDArray[np.int64], classes: int, c: float
) -> tuple[Floats, Floats]:
    """Weights `(C, F)` and biases `(C,)` of inputs `(N, F)`; a class without a sample has the logit -1.

    Args:
        inputs: float64.
        products: Inner products of all samples, `(N, N)`, where there are more features than samples; else None.
        labels: `(N,)`, in 0 … C - 1.
        classes: C.
        c: Weight of the loss.
    """
    from sklearn.svm import LinearSVC

    present = np.unique(labels)
    weights, biases = np.zeros((classes, inputs.shape[1])), np.full(classes, -1.0)
    if len(present) == 1:  # as a reversed run's labels may be
        biases[present] = 1.0
        return weights, biases
    for each in present[1:] if len(present) == 2 else present:
        signs = np.where(labels == each, 1.0, -1.0)
        if products is None:
            machine: Any = LinearSVC(C=c, dual=False, tol=1e-5, max_iter=10_000).fit(inputs, signs)  # pyright: ignore
            weights[each], biases[each] = machine.coef_[0], machine.intercept_[0]
        else:
            coefficients = solve_dual(products + 1, signs, c)
            weights[each], biases[each] = coefficients @ inputs, coefficients.sum()
    if len(present) == 2:  # the first against the second is the mirror image
        weights[present[0]], biases[present[0]] = -weights[present[1]], -biases[present[1]]
    return weights, biases


def solve_dual(products: Floats, signs: Floats, c: float) -> Floats:
    """The coefficients of the samples (N,), by Newton's method (Chapelle 2007): a linear system a round.

    At the minimum f = K β and β_i = 2 c (y_i - f_i) on the samples with y_i f_i < 1, 0 on the others.

    Raises:
        RuntimeError: The set of these samples does not settle.
    """
    from scipy.linalg import solve

    inside = np.ones(len(signs), bool)
    for _ in range(MOST_ROUNDS):
        system = products[np.ix_(inside, inside)] + np.eye(inside.sum()) / (2 * c)
        coefficients = np.zeros(len(signs))
        coefficients[inside] = solve(system, signs[inside], assume_a="pos", overwrite_a=True)
        before, inside = inside, signs * (products @ coefficients) < 1
        if (inside == before).all():
            return coefficients
    raise RuntimeError(f"the support vectors have not settled after {MOST_ROUNDS} rounds at c = {c}")
