"""Several adversaries at once, each with a reversal of its own."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from grl.losses.adversarial import AdversarialLoss

Term = Callable[[Tensor, float | Tensor], AdversarialLoss]


class AdversarialLosses(NamedTuple):
    """The losses of several adversaries.

    Args:
        loss: their sum, to add to the label loss, 0-d.
        each: what each of them returned, by name.
    """

    loss: Tensor
    each: dict[str, AdversarialLoss]


def several_adversarial_losses(
    terms: Mapping[str, Term], features: Tensor, alphas: Mapping[str, float | Tensor]
) -> AdversarialLosses:
    """Return the sum of several adversarial terms of the same features: L = sum_k L_k(R_k(f)).

    Each adversary minimises its own loss; the features maximise it alpha_k times. An adversary whose alpha is 0 learns
    and does not disturb.

    Args:
        terms: by name, a function of features and alpha to its loss, which holds the adversary and what it is to tell.
        features: `(N, F)`.
        alphas: the coefficient of each, finite and >= 0, by the same names.

    Returns:
        The sum, and what each returned.

    Raises:
        TypeError: if a term returns no AdversarialLoss.
        ValueError: if there is no term, or names differ.

    >>> import torch
    >>> from grl.losses import attribute_adversarial_loss, domain_adversarial_loss
    >>> speaker, age = torch.nn.Linear(4, 3), torch.nn.Linear(4, 1)
    >>> speakers, ages = torch.tensor([0, 1, 2]), torch.tensor([-1.0, 0.2, 0.8])
    >>> found = several_adversarial_losses(
    ...     {
    ...         "speaker": lambda f, alpha: domain_adversarial_loss(speaker, f, speakers, alpha),
    ...         "age": lambda f, alpha: attribute_adversarial_loss(age, f, ages, alpha),
    ...     },
    ...     torch.randn(3, 4),
    ...     {"speaker": 0.3, "age": 0.1},
    ... )
    >>> sorted(found.each)
    ['age', 'speaker']
    """
    if not terms or terms.keys() != alphas.keys():
        raise ValueError(f"alphas must have the names of terms, {sorted(terms)}, at least one, got {sorted(alphas)}")
    each = {name: term(features, alphas[name]) for name, term in terms.items()}
    for name, found in each.items():
        if not hasattr(found, "loss"):
            raise TypeError(f"term {name!r} must return an AdversarialLoss, got {type(found).__name__}")
    first, *others = (found.loss for found in each.values())
    return AdversarialLosses(sum(others, first), each)
