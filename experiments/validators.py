"""Which evaluation of a run is reported: chosen afterwards, by a score of what each evaluation recorded.

A validator is a function of NumPy arrays, the larger the better; none but `target_oracle` looks at target labels, and
that one says so in its name. The arrays are those of `record.names` at one step.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from experiments.errors import BadInput, unknown
from experiments.record.names import SOURCE_LABELS, SOURCE_LOGITS, TARGET_LOGITS, TARGET_VALIDATION_ACCURACY

Seen = Mapping[str, np.ndarray]

DENSITY_SAMPLE, DENSITY_TEMPERATURE = 1000, 0.05

LAST = "last"
TARGET_ORACLE = "target_oracle"


@dataclass(frozen=True)
class Validator:
    """A score of one evaluation.

    Attributes:
        score: Of the arrays in `needs`; the larger the better.
        needs: Without one of these arrays there is no score.
        curve: Its name in the recorded curves.
    """

    score: Callable[..., float]
    needs: tuple[str, ...]
    curve: str


def softmax(logits: np.ndarray) -> np.ndarray:
    """Class probabilities (N, C) of logits (N, C), in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    # In nats, over the last axis; 0 · ln 0 = 0.
    return -(probabilities * np.log(np.where(probabilities > 0, probabilities, 1.0))).sum(-1)


def source_accuracy(source_logits: np.ndarray, source_labels: np.ndarray) -> float:
    """Share of held-out source samples whose largest logit is right, in [0, 1]."""
    return float((source_logits.argmax(1) == source_labels).mean())


def negative_entropy(target_logits: np.ndarray) -> float:
    """Minus the mean entropy of the predictions, in nats, in [-ln C, 0]: high when predictions are sure."""
    return float(-_entropy(softmax(target_logits)).mean())


def information_maximisation(target_logits: np.ndarray) -> float:
    """H(mean p) - mean H(p), in nats, in [0, ln C]: high when predictions are sure and use all classes.

    Krause et al. (2010); as a validator, Musgrave et al. (2022).
    """
    probabilities = softmax(target_logits)
    return float(_entropy(probabilities.mean(0)) - _entropy(probabilities).mean())


def nuclear_norm(target_logits: np.ndarray) -> float:
    """Sum of the singular values of the predictions (N, C) over N: high when they are sure and varied.

    Batch nuclear-norm maximisation, Cui et al. (2020).
    """
    probabilities = softmax(target_logits)
    # Of the small Gram matrix (C, C): its eigenvalues are the squares of the singular values.
    squares = np.linalg.eigvalsh(probabilities.T @ probabilities)
    return float(np.sqrt(np.maximum(squares, 0)).sum() / len(probabilities))


def soft_neighbourhood_density(target_logits: np.ndarray) -> float:
    """Mean entropy of each sample's similarities to the others, in nats: high when predictions form dense groups.

    Similarity is the cosine of two predictions, as a softmax at temperature 0.05; at most 1,000 samples. Saito et al.
    (2021). Musgrave et al. (2022) found it consistently poor.
    """
    probabilities = softmax(target_logits[:DENSITY_SAMPLE])
    directions = probabilities / np.linalg.norm(probabilities, axis=1, keepdims=True)
    similarities = directions @ directions.T / DENSITY_TEMPERATURE
    np.fill_diagonal(similarities, -np.inf)  # nobody is a neighbour of himself
    return float(_entropy(softmax(similarities)).mean()) if len(probabilities) > 1 else 0.0


def class_correlation(target_logits: np.ndarray) -> float:
    """Minus Corr-C, -tr(PᵀP) / |PᵀP|, in [-√C, -1]: high when the same classes are predicted together.

    Tu et al. (2023), where the lower the better: the cosine of the class correlation with the identity, times √C.
    """
    probabilities = softmax(target_logits)
    correlation = probabilities.T @ probabilities
    return float(-np.trace(correlation) / np.linalg.norm(correlation))


_TARGET, _SOURCE = (TARGET_LOGITS,), (SOURCE_LOGITS, SOURCE_LABELS)
VALIDATORS: dict[str, Validator] = {
    "source_accuracy": Validator(source_accuracy, _SOURCE, "source_validation_accuracy"),
    "negative_entropy": Validator(negative_entropy, _TARGET, "negative_entropy"),
    "information_maximisation": Validator(information_maximisation, _TARGET, "information_maximisation"),
    "nuclear_norm": Validator(nuclear_norm, _TARGET, "nuclear_norm"),
    "soft_neighbourhood_density": Validator(soft_neighbourhood_density, _TARGET, "soft_neighbourhood_density"),
    "class_correlation": Validator(class_correlation, _TARGET, "class_correlation"),
}
SELECTIONS = (LAST, *VALIDATORS, TARGET_ORACLE)


def score_all(seen: Seen) -> dict[str, float]:
    """Every validator's score of one evaluation, by the name of its curve; those whose arrays are missing left out."""
    return {
        each.curve: each.score(*(seen[name] for name in each.needs))
        for each in VALIDATORS.values()
        if all(name in seen for name in each.needs)
    }


def find_validator(name: str) -> Validator:
    """A validator by its name, or one of a user's own by its import path `package.module:validator`.

    Raises:
        BadInput: there is none, or what is there is no `Validator`.
    """
    if name in VALIDATORS:
        return VALIDATORS[name]
    if ":" not in name:
        raise unknown("validator", name, SELECTIONS)
    from experiments.identity import find

    if not isinstance(found := find(name), Validator):
        raise BadInput(f"{name} must be an experiments.validators.Validator, got {found!r}")
    return found


def curve_of(selection: str) -> str:
    """The curve whose largest value a selection other than `last` chooses.

    Raises:
        BadInput: as `find_validator`.
    """
    return TARGET_VALIDATION_ACCURACY if selection == TARGET_ORACLE else find_validator(selection).curve


def select(scores: Mapping[int, Mapping[str, float]], selection: str) -> int:
    """The step whose evaluation is reported.

    Args:
        scores: Step -> curves of that evaluation.
        selection: `last`; a validator, whose largest score decides (the later step on a tie); or `target_oracle`, which
            takes the accuracy on labelled target samples that are not reported.

    Raises:
        BadInput: an unknown selection, or one whose score was not recorded.
    """
    if selection == LAST:
        return max(scores)
    curve = curve_of(selection)
    if any(curve not in values for values in scores.values()):
        raise BadInput(f"selection {selection} needs {curve}, which was not recorded")
    return max(scores, key=lambda step: (scores[step][curve], step))


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
