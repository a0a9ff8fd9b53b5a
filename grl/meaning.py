"""What a domain loss means, beside the loss at chance and beside a fresh probe."""

import math

import torch
from torch import Tensor


def measure_chance(domain_labels: Tensor) -> float:
    """Return the loss, in nats, of an adversary that knows nothing but how many samples each domain has.

    H = -sum_k s_k · log s_k, with the share s_k of domain k: ln K where all have as many, ln 2 for two.
    """
    _, counts = domain_labels.unique(return_counts=True)
    shares = counts.double() / len(domain_labels)
    return -torch.xlogy(shares, shares).sum().item()


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
    domains, samples = len(domain_labels.unique()), len(domain_labels)
    if dead:
        return f"domain loss {loss:.3f} comes from a dead adversary"
    if not in_nats:
        return f"the adversary's own loss is {loss:.3f}; a fresh probe of the domains is right on {probe:.0%}"
    chance = measure_chance(domain_labels)
    at = f"{'ln 2' if abs(chance - math.log(2.0)) < 1e-9 else f'chance, {chance:.3f}'}"
    if not abs(loss - chance) <= 0.05:
        told = "tells the domains apart" if loss < chance else "is surer than it is right"
        return f"domain loss {loss:.3f} is away from {at}: the domain classifier {told}"
    if math.isnan(probe):
        return f"domain loss {loss:.3f} is near {at}; too few samples to say whether the features are confused"
    # Both folds share their samples, so the spread is about 1.25 binomial errors: three of them are passed once in 100.
    # A mean over domains is as unsure as its smallest domain allows.
    smallest = int(domain_labels.unique(return_counts=True)[1].min())
    share = 1.0 / domains
    if probe > share + 3.0 * math.sqrt(share * (1.0 - share) / min(samples, domains * smallest)):
        return (
            f"domain loss {loss:.3f} is near {at}, but a fresh probe is right on {probe:.0%}: the features are not "
            "confused, the domain classifier has not learnt to see it"
        )
    return f"domain loss {loss:.3f} is near {at} and a fresh probe is right on {probe:.0%}: the domains are confused"
