"""How well a fresh linear probe tells the domains apart by their features."""

import itertools
import math
from typing import cast

import torch
from torch import Tensor


def probe_domains(features: Tensor, domain_labels: Tensor) -> float:
    """Return how well a fresh linear probe tells two domains apart on samples it has not seen.

    Ridge regression on standardised features, fitted on every other sample of each domain and tested on the rest,
    both ways round; with more than two domains the mean over all pairs of them.

    Args:
        features: `(N, ...)`; flattened.
        domain_labels: integers from 0 on, `(N,)`.

    Returns:
        The mean accuracy of both domains, 0.5 where they cannot be told apart; NaN with fewer than two domains, or
        fewer than four samples of one.
    """
    members: dict[float, list[int]] = {}
    for index, label in enumerate(list_labels(domain_labels)):
        members.setdefault(label, []).append(index)
    if len(members) < 2 or min(map(len, members.values())) < 4:
        return math.nan
    values = features.detach().double().flatten(1).cpu()
    pairs = list(itertools.combinations(sorted(members), 2))
    return sum(_probe_pair(values[members[low]], values[members[high]]) for low, high in pairs) / len(pairs)


def _probe_pair(low: Tensor, high: Tensor) -> float:
    values = torch.cat([low, high])
    signs = torch.cat([-torch.ones(len(low)), torch.ones(len(high))]).double()
    fold = torch.cat([torch.arange(len(part)) % 2 == 0 for part in (low, high)])
    return (_test_probe(values, signs, fold) + _test_probe(values, signs, ~fold)) / 2.0


def _test_probe(values: Tensor, signs: Tensor, train: Tensor) -> float:
    mean, spread = values[train].mean(0), values[train].std(0)
    values = (values - mean) / torch.where(spread > 0, spread, 1.0)
    seen, unseen = values[train], values[~train]
    kernel = seen @ seen.T / seen.shape[1] + 0.1 * torch.eye(len(seen), dtype=seen.dtype)
    centre = signs[train].mean()
    dual = cast(Tensor, torch.linalg.solve(kernel, signs[train] - centre))  # pyright: ignore
    scores = unseen @ (seen.T @ dual) / seen.shape[1] + centre
    right = ((scores > 0) == (signs[~train] > 0)).double()
    return sum(right[signs[~train] == sign].mean().item() for sign in (-1.0, 1.0)) / 2.0


def list_labels(domain_labels: Tensor) -> list[float]:
    """Return domain labels as numbers."""
    return cast("list[float]", domain_labels.double().flatten().tolist())  # pyright: ignore
