"""What a domain loss means, beside the loss at chance and beside a fresh probe."""

import math
from collections import Counter

from torch import Tensor

from grl.probe import list_labels


def measure_chance(domain_labels: Tensor) -> float:
    """Return the loss, in nats, of an adversary that knows nothing but how many samples each domain has.

    H = -sum_k s_k · log s_k, with the share s_k of domain k: ln K where all have as many, ln 2 for two.
    """
    shares = [count / domain_labels.numel() for count in Counter(list_labels(domain_labels)).values()]
    return -sum(share * math.log(share) for share in shares)


def explain(loss: float, probe: float, domain_labels: Tensor, *, dead: bool, in_nats: bool) -> str:
    """Return a sentence on what a domain loss means.

    Args:
        loss: the adversary's, without weight.
        probe: what `probe_domains` says of the features.
        domain_labels: `(N,)`.
        dead: whether the adversary cannot move.
        in_nats: whether the loss is a cross entropy of the domains, which alone can be compared with chance.

    Returns:
        The sentence.
    """
    smallest = min(Counter(list_labels(domain_labels)).values())
    if dead:
        return f"domain loss {loss:.3f} comes from a dead adversary"
    if not in_nats:
        return f"the adversary's own loss is {loss:.3f}; a fresh probe of the domains is right on {probe:.0%}"
    chance = measure_chance(domain_labels)
    at = "ln 2" if math.isclose(chance, math.log(2.0)) else f"chance, {chance:.3f}"
    if not abs(loss - chance) <= 0.05:
        told = "tells the domains apart" if loss < chance else "is surer than it is right"
        return f"domain loss {loss:.3f} is away from {at}: the domain classifier {told}"
    if math.isnan(probe):
        return f"domain loss {loss:.3f} is near {at}; too few samples to say whether the features are confused"
    # Both folds share their samples, so the spread is about 1.25 binomial errors: three of them are passed once in 100.
    # The mean over two domains is as unsure as the smaller one allows.
    if probe > 0.5 + 3.0 * math.sqrt(0.25 / (2 * smallest)):
        return (
            f"domain loss {loss:.3f} is near {at}, but a fresh probe is right on {probe:.0%}: the features are not "
            "confused, the domain classifier has not learnt to see it"
        )
    return f"domain loss {loss:.3f} is near {at} and a fresh probe is right on {probe:.0%}: the domains are confused"
