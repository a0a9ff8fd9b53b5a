"""What is measured on a trained network. Accuracies on the target test split alone see its labels.

Everything is computed in float32 on the device of `mean`, where the networks are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets import Batches, one_pass
from experiments.networks import Networks
from experiments.record import INFORMATION_MAXIMISATION, SOURCE_ACCURACY, TARGET_ACCURACY

EVALUATION_BATCH = 250  # activations that the allocator keeps: twice as fast as 1,000 here
UNLABELLED_SAMPLE = 2000  # target training inputs that the label-free score looks at
FEATURE_SAMPLE = 500  # test inputs per domain
FEATURE_DIMENSIONS = 32


@contextmanager
def evaluating(networks: Networks) -> Iterator[None]:
    """Evaluation mode without gradients; training mode again afterwards."""
    networks.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        networks.train()


def draw(split: Any, count: int, mean: Tensor) -> Any:
    """A random sample of `split`, the same at every evaluation of every run, so that scores compare."""
    return next(Batches(split, min(count, len(split)), seed=0, mean=mean, device=mean.device, resident=False))


def accuracy(networks: Networks, split: Any, mean: Tensor) -> float:
    """Share of `split` (with labels) whose largest label logit is right, in [0, 1]."""
    right = torch.zeros((), dtype=torch.int64, device=mean.device)
    count = 0
    for batch in one_pass(split, EVALUATION_BATCH, mean=mean, device=mean.device):
        right += (networks.predict(batch.inputs).argmax(1) == batch.labels).sum()
        count += len(batch.labels)
    return right.item() / count


def information_maximisation(label_logits: Tensor) -> float:
    """H(mean p) - mean H(p) of softmax outputs p, in nats: high when predictions are sure and use all classes.

    Args:
        label_logits: (N, C), of target inputs; no labels are needed.

    Returns:
        A number in [0, ln C]. Source: Krause et al. (2010); as a validator, Musgrave et al. (2022).
    """
    log_p = label_logits.cpu().double().log_softmax(1)  # there is no float64 on MPS
    p = log_p.exp()
    mean_p = p.mean(0)
    of_mean = torch.special.entr(mean_p).sum()
    return (of_mean + (p * log_p).sum(1).mean()).item()


def evaluate(networks: Networks, pair: Any, mean: Tensor) -> dict[str, float]:
    """One point of the evaluation curves: test accuracies of both domains and the label-free score."""
    with evaluating(networks):
        unlabelled = draw(pair.target, UNLABELLED_SAMPLE, mean)
        return {
            SOURCE_ACCURACY: accuracy(networks, pair.evaluation.source_test, mean),
            TARGET_ACCURACY: accuracy(networks, pair.evaluation.target_test, mean),
            INFORMATION_MAXIMISATION: information_maximisation(
                torch.cat([networks.predict(part) for part in unlabelled.inputs.split(EVALUATION_BATCH)])
            ),
        }


def sample_features(networks: Networks, pair: Any, mean: Tensor) -> dict[str, np.ndarray]:
    """Features of a fixed sample of test inputs of each domain.

    Returns:
        features (2n, F) float32, labels (2n,) int64, domain_labels (2n,) int64; source 0, target 1.
    """
    features, labels, domain_labels = [], [], []
    with evaluating(networks):
        for domain, split in enumerate((pair.evaluation.source_test, pair.evaluation.target_test)):
            batch = draw(split, FEATURE_SAMPLE, mean)
            features.append(networks.feature_extractor(batch.inputs).flatten(1).cpu())
            labels.append(batch.labels.cpu())
            domain_labels.append(torch.full_like(labels[-1], domain))
    return {
        "features": torch.cat(features).numpy(),
        "labels": torch.cat(labels).numpy(),
        "domain_labels": torch.cat(domain_labels).numpy(),
    }


def project(features: np.ndarray) -> np.ndarray:
    """The leading principal components of (N, F) features, at most 32: (N, min(F, 32)) float32."""
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    if centred.shape[1] <= FEATURE_DIMENSIONS:
        return centred.astype(np.float32)
    _, _, components = np.linalg.svd(centred, full_matrices=False)
    return (centred @ components[:FEATURE_DIMENSIONS].T).astype(np.float32)


def proxy_a_distance(features: np.ndarray, domain_labels: np.ndarray) -> float:
    """How well a fresh linear probe tells the domains apart: 2 (1 - 2 err), 0 = confused, 2 = separable.

    A domain loss of ln 2 can mean a confused adversary or a dead one; this number tells which. Half of the sample
    trains logistic regressions with C in logspace(-5, 4, 10), the other half gives the smallest error, folded to at
    most 1/2 (Ganin et al. 2016, section 5.1.5, with logistic regression in place of the linear SVM).

    Args:
        features: (N, F).
        domain_labels: (N,), source 0, target 1.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    even, odd = slice(0, None, 2), slice(1, None, 2)
    scaler = StandardScaler().fit(features[even])
    train, test = scaler.transform(features[even]), scaler.transform(features[odd])
    errors = []
    for c in np.logspace(-5, 4, 10):
        # Few iterations on purpose: a probe that has not converged to the last digit is still a probe.
        probe = LogisticRegression(C=c, max_iter=1000, tol=1e-3).fit(train, domain_labels[even])
        errors.append(float(np.mean(probe.predict(test) != domain_labels[odd])))
    error = min(min(e, 1 - e) for e in errors)
    return 2 * (1 - 2 * error)
