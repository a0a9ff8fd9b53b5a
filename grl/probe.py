"""How well a fresh linear probe tells the domains apart by their features."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor


def probe_domains(features: Tensor, domain_labels: Tensor) -> float:
    """Return how well a fresh linear probe tells the domains apart on samples it has not seen.

    Ridge regression of each domain's sign on standardised features, fitted on every other sample of each domain
    and tested on the rest, both ways round; the domain with the greatest score is the answer.

    Args:
        features: `(N, ...)`; flattened.
        domain_labels: integers from 0 on, `(N,)`.

    Returns:
        The mean accuracy of the K domains present, 1 / K where they cannot be told apart; NaN with fewer than two
        domains, or fewer than four samples of one.
    """
    members: dict[float, list[int]] = {}
    for index, label in enumerate(list_labels(domain_labels)):
        members.setdefault(label, []).append(index)
    if len(members) < 2 or min(map(len, members.values())) < 4:
        return math.nan
    values = features.detach().double().flatten(1).cpu()
    labels, fold = torch.empty(len(values), dtype=torch.int64), torch.zeros(len(values), dtype=torch.bool)
    for domain, label in enumerate(sorted(members)):
        labels[members[label]] = domain
        fold[members[label][::2]] = True
    return (_test_probe(values, labels, fold) + _test_probe(values, labels, ~fold)) / 2.0


def _test_probe(values: Tensor, labels: Tensor, train: Tensor) -> float:
    mean, spread = values[train].mean(0), values[train].std(0)
    values = (values - mean) / torch.where(spread > 0, spread, 1.0)
    seen, unseen = values[train], values[~train]
    kernel = seen @ seen.T / seen.shape[1] + 0.1 * torch.eye(len(seen), dtype=seen.dtype)
    signs = F.one_hot(labels).double() * 2.0 - 1.0  # (N, K)
    centre = signs[train].mean(0)
    dual = cast(Tensor, torch.linalg.solve(kernel, signs[train] - centre))  # pyright: ignore
    answers = (unseen @ (seen.T @ dual) / seen.shape[1] + centre).argmax(1)
    right = (answers == labels[~train]).double()
    domains = range(signs.shape[1])
    return sum(right[labels[~train] == domain].mean().item() for domain in domains) / len(domains)


def list_labels(domain_labels: Tensor) -> list[float]:
    """Return domain labels as numbers."""
    return cast("list[float]", domain_labels.double().tolist())  # pyright: ignore
