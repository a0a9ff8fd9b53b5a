"""Whether target predictions form dense groups."""

import numpy as np

from experiments.record.names import TARGET_LOGITS
from experiments.validators.base import Validator, entropy, softmax

SAMPLE, TEMPERATURE = 1000, 0.05


def soft_neighbourhood_density(target_logits: np.ndarray) -> float:
    """Mean entropy of each sample's similarities to the others, in nats: high when predictions form dense groups.

    Similarity is the cosine of two predictions, as a softmax at temperature 0.05; at most 1,000 samples. Saito et al.
    (2021). Musgrave et al. (2022) found it consistently poor.
    """
    probabilities = softmax(target_logits[:SAMPLE])
    directions = probabilities / np.linalg.norm(probabilities, axis=1, keepdims=True)
    similarities = directions @ directions.T / TEMPERATURE
    np.fill_diagonal(similarities, -np.inf)  # nobody is a neighbour of himself
    return float(entropy(softmax(similarities)).mean()) if len(probabilities) > 1 else 0.0


SOFT_NEIGHBOURHOOD_DENSITY = Validator(soft_neighbourhood_density, (TARGET_LOGITS,), "soft_neighbourhood_density")
