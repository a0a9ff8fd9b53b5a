"""How far apart two domains are in a feature space, measured by a classifier of the domains."""

import numpy as np


def proxy_a_distance(features: np.ndarray, domain_labels: np.ndarray) -> float:
    """How well a fresh linear probe tells the domains apart: 2 (1 - 2 err), 0 = confused, 2 = separable.

    A domain loss of ln 2 can mean a confused adversary or a dead one; this number tells which. Half of the sample
    trains logistic regressions with C in logspace(-5, 4, 10), the other half gives the smallest error, folded to at
    most 1/2 (Ganin et al. 2016, section 5.1.5, with logistic regression in place of the linear SVM).

    Args:
        features: (N, F), as recorded: the leading principal components.
        domain_labels: (N,), source 0, target 1.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    even, odd = slice(0, None, 2), slice(1, None, 2)
    features = features.astype(np.float32)
    scaler = StandardScaler().fit(features[even])
    train, test = scaler.transform(features[even]), scaler.transform(features[odd])
    errors = []
    for c in np.logspace(-5, 4, 10):
        # Few iterations on purpose: a probe that has not converged to the last digit is still a probe.
        probe = LogisticRegression(C=c, max_iter=1000, tol=1e-3).fit(train, domain_labels[even])
        errors.append(float(np.mean(probe.predict(test) != domain_labels[odd])))
    error = min(min(e, 1 - e) for e in errors)
    return 2 * (1 - 2 * error)
