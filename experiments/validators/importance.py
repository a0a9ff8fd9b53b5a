"""Risks of held-out source samples, weighted as if they were drawn from the target.

The weight of a sample is the ratio of the target's density to the source's at its features, by a classifier of the
domains: w = (N_s / N_t) · P(target | f) / P(source | f). The scores are minus the risks.
"""

import numpy as np

from experiments.record.names import (
    SOURCE_FEATURES,
    SOURCE_LABELS,
    SOURCE_LOGITS,
    SOURCE_WEIGHTS,
    TARGET_FEATURES,
    TRAINING_FEATURES,
)
from experiments.validators.base import Seen, Validator

MOST_NEWTON_STEPS, MOST_LOG_ODDS = 50, 50.0
FEATURES = (TRAINING_FEATURES, TARGET_FEATURES, SOURCE_FEATURES)


def complete(seen: Seen) -> Seen:
    """The arrays of one evaluation, and the weights of its held-out source samples where their features are there."""
    if SOURCE_WEIGHTS in seen or not all(name in seen and np.isfinite(seen[name]).all() for name in FEATURES):
        return seen
    return {**seen, SOURCE_WEIGHTS: weigh(*(seen[name] for name in FEATURES))}


def weigh(training_features: np.ndarray, target_features: np.ndarray, source_features: np.ndarray) -> np.ndarray:
    """The density ratio at each of `source_features`, (m,), by logistic regression on standardised features.

    Bickel et al. (2007); in a feature space, You et al. (2019), with logistic regression in place of their network.

    Args:
        training_features: (j, D) of source training samples.
        target_features: (k, D) of target training samples.
        source_features: (m, D) of held-out source samples.
    """
    source, target = len(training_features), len(target_features)
    features = np.concatenate([training_features, target_features]).astype(np.float64)
    mean, spread = features.mean(0), features.std(0)
    spread[spread == 0] = 1.0
    weights = fit_logistic((features - mean) / spread, np.repeat([0.0, 1.0], [source, target]))
    log_odds = ((source_features - mean) / spread) @ weights[:-1] + weights[-1]
    return source / target * np.exp(log_odds.clip(-MOST_LOG_ODDS, MOST_LOG_ODDS))


def fit_logistic(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights (D + 1,), the bias last, of the logistic regression of labels 0 and 1 with a ridge of 1/2 |w|².

    By Newton's method, a fifth of what scikit-learn's takes on a thousand samples.
    """
    inputs = np.column_stack([features, np.ones(len(features))])
    ridge = np.append(np.ones(features.shape[1]), 0.0)
    weights = np.zeros(inputs.shape[1])
    for _ in range(MOST_NEWTON_STEPS):
        chances = 1 / (1 + np.exp(-(inputs @ weights).clip(-MOST_LOG_ODDS, MOST_LOG_ODDS)))
        slope = inputs.T @ (chances - labels) + ridge * weights
        curvature = (inputs * (chances * (1 - chances))[:, None]).T @ inputs
        step = np.linalg.solve(curvature + np.diag(ridge + 1e-9), slope)
        weights = weights - step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Losses (m,) of logits (m, C) in nats."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    return np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(labels)), labels]


def weighted_risk(weights: np.ndarray, losses: np.ndarray) -> float:
    """Mean of w · l: the importance-weighted risk. Sugiyama et al. (2007)."""
    return float((weights * losses).mean())


def embedded_risk(weights: np.ndarray, losses: np.ndarray) -> float:
    """Mean of w · l, with the mean of w, known to be 1, as a control variate. You et al. (2019).

    mean(w l) + eta · mean(w) - eta, eta = -Cov(w l, w) / Var(w); eta = 0 where all weights are equal.
    """
    if len(weights) < 2 or np.ptp(weights) == 0:
        return weighted_risk(weights, losses)
    covariance = np.cov(weights * losses, weights)
    eta = -covariance[0, 1] / covariance[1, 1]
    return float((weights * losses).mean() + eta * (weights.mean() - 1))


def normalised_risk(weights: np.ndarray, losses: np.ndarray) -> float:
    """The embedded risk of weights over their largest, moved to a mean of 1. Musgrave et al. (2022)."""
    normalised = weights / weights.max()
    return embedded_risk(normalised - normalised.mean() + 1, losses)


def importance_weighting(weights: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> float:
    """Minus the weighted risk of the cross entropy of held-out source samples."""
    return -weighted_risk(weights, cross_entropy(logits, labels))


def dev(weights: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> float:
    """Minus their embedded risk."""
    return -embedded_risk(weights, cross_entropy(logits, labels))


def devn(weights: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> float:
    """Minus their embedded risk with normalised weights."""
    return -normalised_risk(weights, cross_entropy(logits, labels))


_NEEDS = (SOURCE_WEIGHTS, SOURCE_LOGITS, SOURCE_LABELS)
IMPORTANCE_WEIGHTING = Validator(importance_weighting, _NEEDS, "importance_weighting")
DEV = Validator(dev, _NEEDS, "dev")
DEVN = Validator(devn, _NEEDS, "devn")
