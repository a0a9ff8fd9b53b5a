"""Whether the clusters of the target features are the predicted classes."""

import numpy as np

from experiments.record.names import TARGET_FEATURES, TARGET_LOGITS
from experiments.validators.base import Validator

MOST_ROUNDS = 100


def class_ami(target_logits: np.ndarray, target_features: np.ndarray) -> float:
    """Adjusted mutual information of predicted classes and k-means clusters, at most 1, 0 by chance.

    As many clusters as classes; each begins at the mean of the features of its class, one that is never predicted at
    the origin. Musgrave et al. (2022). 0 where one class alone is predicted.

    Args:
        target_logits: (n, C).
        target_features: (k, D), of the first k.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    features, classes = target_features.astype(np.float64), target_logits.shape[1]
    predicted = target_logits[: len(features)].argmax(1)
    if np.ptp(predicted) == 0:
        return 0.0
    means = move(np.zeros((classes, features.shape[1])), features, predicted)
    return float(adjusted_mutual_info_score(predicted, find_clusters(features, means)))


def find_clusters(features: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Lloyd's k-means of (N, D) features from (K, D) means on: the cluster of each, (N,)."""
    nearest = np.full(len(features), -1)
    for _ in range(MOST_ROUNDS):
        before, nearest = nearest, ((means**2).sum(1) - 2 * features @ means.T).argmin(1)
        if np.array_equal(before, nearest):
            break
        means = move(means, features, nearest)
    return nearest


def move(means: np.ndarray, features: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Each mean at that of its group of features; one without a member where it was."""
    members = np.eye(len(means))[groups]
    counts = members.sum(0)[:, None]
    return np.where(counts > 0, members.T @ features / np.maximum(counts, 1), means)


CLASS_AMI = Validator(class_ami, (TARGET_LOGITS, TARGET_FEATURES), "class_ami")
