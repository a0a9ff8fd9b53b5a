"""Coefficients driven by feedback from the training instead of by its progress.

A controller is a frozen set of constants. What it remembers is a state of plain numbers that the caller keeps,
saves and restores (`dataclasses.asdict(state)` is ready for JSON): `state = controller.update(state, ...)`, then
train with `state.alpha`.
"""

import math
from dataclasses import dataclass

from grl.checks import require_above, require_at_least, require_between, require_count


@dataclass(frozen=True, kw_only=True)
class AdaptiveState:
    """What a controller remembers between two updates.

    Args:
        alpha: the coefficient to train with now, >= 0.
        average: the running average of the feedback; means nothing before the first update.
        updates: how many updates led here.
    """

    alpha: float
    average: float = 0.0
    updates: int = 0

    def __post_init__(self) -> None:
        require_at_least("alpha", self.alpha, 0.0)
        require_at_least("average", self.average, 0.0)
        require_count("updates", self.updates, 0)


def _average(state: AdaptiveState, value: float, memory: float) -> float:
    return value if state.updates == 0 else memory * state.average + (1.0 - memory) * value


@dataclass(frozen=True, kw_only=True)
class AccuracyFeedback:
    """Hold the domain classifier's accuracy at a target: more reversal while it wins, less while it guesses.

    average ← memory · average + (1 - memory) · accuracy
    alpha   ← clip(alpha · exp(rate · (average - target)), alpha_min, alpha_max)

    There is no published formula for this; it is an integral controller on log alpha. With alpha standing still
    the average is at the target.

    Args:
        target: the domain accuracy to hold, in [0.5, 1].
        rate: how fast log alpha follows, > 0.
        memory: the share of the average that is kept at each update, in [0, 1].
        alpha_start: the first coefficient, in [alpha_min, alpha_max].
        alpha_min: the least coefficient, > 0, because a product never leaves 0.
        alpha_max: the greatest coefficient.

    >>> control = AccuracyFeedback(rate=1.0, memory=0.0, alpha_start=0.1)
    >>> state = control.start()
    >>> for accuracy in (0.9, 0.9, 0.6, 0.5):
    ...     state = control.update(state, accuracy)
    ...     print(f"{state.alpha:.4f}")
    0.1350
    0.1822
    0.1822
    0.1649
    """

    target: float = 0.6
    rate: float = 0.1
    memory: float = 0.9
    alpha_start: float = 0.1
    alpha_min: float = 0.001
    alpha_max: float = 1.0

    def __post_init__(self) -> None:
        require_between("target", self.target, 0.5, 1.0)
        require_above("rate", self.rate, 0.0)
        require_between("memory", self.memory, 0.0, 1.0)
        require_above("alpha_min", self.alpha_min, 0.0)
        require_at_least("alpha_max", self.alpha_max, self.alpha_min)
        require_between("alpha_start", self.alpha_start, self.alpha_min, self.alpha_max)

    def start(self) -> AdaptiveState:
        """Return the state before any feedback."""
        return AdaptiveState(alpha=self.alpha_start)

    def update(self, state: AdaptiveState, domain_accuracy: float) -> AdaptiveState:
        """Return the next state.

        Args:
            state: what the last update returned, or `start()`.
            domain_accuracy: the share of samples whose domain the classifier named, in [0, 1].

        Raises:
            ValueError: if the accuracy lies outside [0, 1].
        """
        average = _average(state, require_between("domain_accuracy", domain_accuracy, 0.0, 1.0), self.memory)
        alpha = state.alpha * math.exp(min(self.rate * (average - self.target), 700.0))  # e^710 is no float any more
        alpha = min(max(alpha, self.alpha_min), self.alpha_max)
        return AdaptiveState(alpha=alpha, average=average, updates=state.updates + 1)


@dataclass(frozen=True, kw_only=True)
class NormFeedback:
    """Hold the reversed gradient at a fixed share of the label gradient, both measured in the feature extractor.

    average ← memory · average + (1 - memory) · label_norm / domain_norm
    alpha   ← min(share · average, alpha_max)

    The domain gradient is the one without reversal. The idea of weighing by gradient norms is that of GradNorm
    (Chen et al., ICML 2018) and of adversarial weighting for domain adaptation.

    Args:
        share: norm of the reversed gradient over that of the label gradient, > 0.
        memory: the share of the average that is kept at each update, in [0, 1].
        alpha_start: the first coefficient, in [0, alpha_max].
        alpha_max: the greatest coefficient, > 0; also taken where the domain gradient is exactly 0.

    >>> control = NormFeedback(share=0.5, memory=0.0)
    >>> control.update(control.start(), label_norm=1.0, domain_norm=4.0).alpha
    0.125
    """

    share: float = 1.0
    memory: float = 0.9
    alpha_start: float = 0.0
    alpha_max: float = 1.0

    def __post_init__(self) -> None:
        require_above("share", self.share, 0.0)
        require_between("memory", self.memory, 0.0, 1.0)
        require_above("alpha_max", self.alpha_max, 0.0)
        require_between("alpha_start", self.alpha_start, 0.0, self.alpha_max)

    def start(self) -> AdaptiveState:
        """Return the state before any feedback."""
        return AdaptiveState(alpha=self.alpha_start)

    def update(self, state: AdaptiveState, *, label_norm: float, domain_norm: float) -> AdaptiveState:
        """Return the next state.

        Args:
            state: what the last update returned, or `start()`.
            label_norm: norm of the label loss's gradient in the feature extractor, >= 0.
            domain_norm: norm of the domain loss's gradient there, without reversal, >= 0.

        Raises:
            ValueError: if a norm is negative or not finite.
        """
        label_norm = require_at_least("label_norm", label_norm, 0.0)
        # Beyond alpha_max / share a ratio makes no difference, and a quotient by nearly nothing must not stay in
        # the average.
        ceiling = self.alpha_max / self.share
        domain_norm = require_at_least("domain_norm", domain_norm, 0.0)
        ratio = ceiling if label_norm >= ceiling * domain_norm else label_norm / domain_norm
        average = _average(state, ratio, self.memory)
        return AdaptiveState(
            alpha=min(self.share * average, self.alpha_max), average=average, updates=state.updates + 1
        )
