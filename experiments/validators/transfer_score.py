"""Uniform classes in the classifier, clustered features, sure and varied predictions: their sum."""

import numpy as np

from experiments.record.names import CLASS_COSINES, TARGET_FEATURES, TARGET_LOGITS
from experiments.validators.base import Validator
from experiments.validators.entropies import information_maximisation

PROBED = 0.05  # share of the samples whose neighbours are looked for


def transfer_score(target_logits: np.ndarray, target_features: np.ndarray, class_cosines: np.ndarray) -> float:
    """Hopkins statistic + information maximisation / ln C - uniformity. Yang et al. (2024).

    Args:
        target_logits: (n, C).
        target_features: (k, D), here their leading principal components.
        class_cosines: (C, C), between the weights of the last layer.
    """
    sure = information_maximisation(target_logits) / np.log(target_logits.shape[1])
    return float(hopkins(target_features) + sure - uniformity(class_cosines))


def uniformity(class_cosines: np.ndarray) -> float:
    """Mean square of angle - arccos(-1 / (C - 1)) over pairs of classes, in radians squared: 0 is a regular simplex."""
    classes = len(class_cosines)
    angles = np.arccos(class_cosines.astype(np.float64).clip(-1, 1))[~np.eye(classes, dtype=bool)]
    return float(((angles - np.arccos(-1 / (classes - 1))) ** 2).mean())


def hopkins(features: np.ndarray) -> float:
    """U / (U + W) in [0, 1]: about 1/2 for points at random, 1 for clusters.

    W adds up the distances of some samples to their nearest other one, U those of as many points, uniform in the box
    around all samples (the same at every call, in units of the box).
    """
    from scipy.spatial.distance import cdist

    features = features.astype(np.float64)
    count, (least, most) = max(1, int(PROBED * len(features))), (features.min(0), features.max(0))
    random = np.random.default_rng(0)
    points = least + (most - least) * random.random((count, features.shape[1]))
    some = random.choice(len(features), count, replace=False)
    between = cdist(features[some], features)
    between[np.arange(count), some] = np.inf  # nobody is a neighbour of himself
    apart, near = cdist(points, features).min(1).sum(), between.min(1).sum()
    return float(apart / (apart + near)) if apart + near > 0 else 0.5


TRANSFER_SCORE = Validator(transfer_score, (TARGET_LOGITS, TARGET_FEATURES, CLASS_COSINES), "transfer_score")
