"""The name of what the doctor has measured."""

import math
from dataclasses import dataclass
from typing import Literal

from grl.scene import TOLERANCE, Finding

Status = Literal[
    "reversed",
    "inconclusive",
    "not finite",
    "dead",
    "squashed",
    "detached",
    "not reversed",
    "negated twice",
    "misplaced",
    "applied twice",
    "on the loss",
    "stuck",
    "wrong factor",
    "saturated",
]
Named = tuple[Status, str]


@dataclass(frozen=True, kw_only=True)
class Symptoms:
    """What was measured, at alpha and at half of it.

    Args:
        alpha: the coefficient it was measured at.
        given: the coefficient that was asked for; may be 0, which alpha is not.
        dead: why the domain classifier cannot move; empty where it can.
        doubt: why there is no verdict; empty where there may be one.
        squashed: whether its logits stay between -1 and 1 whatever its weights are.
        blocked: why nothing passes through the feature extractor; empty where it does.
        reference_falls: whether the reference loss falls along the classifier's own step.
        connected: whether the features take part in the adversarial loss.
        features: what arrives at the features; None where it is nothing.
        groups: what arrives at the classifier's weights, module by module, the last one nearest to its output.
    """

    alpha: float
    given: float
    dead: str = ""
    doubt: str = ""
    squashed: bool = False
    blocked: str = ""
    reference_falls: bool = True
    connected: bool = True
    features: Finding | None = None
    groups: tuple[Finding, ...] = ()

    @property
    def weight(self) -> float:
        """The domain classifier's own gradient over the true one, next to its output."""
        return self.groups[-1].at_alpha if self.groups else math.nan

    @property
    def factor(self) -> float:
        """The features' gradient over the true one, per unit of weight."""
        if self.features is None:
            return 0.0
        return self.features.at_alpha / self.weight if self.weight else math.nan

    @property
    def error(self) -> float:
        """The relative error of the factor."""
        return (self.features.error if self.features else 0.0) + (self.groups[-1].error if self.groups else 0.0)


def judge(found: Symptoms) -> Named:
    """Name what was measured: the classifier's own gradient first, then what it sends to the features."""
    if found.dead:
        return "dead", f"The domain classifier cannot move: {found.dead}. The domain loss says nothing."
    if found.squashed:
        return "squashed", (
            "The domain classifier returns numbers between -1 and 1 whatever its weights are, as behind a sigmoid, "
            "and the loss takes logits: it can hardly fall. Return what stands in front of the sigmoid."
        )
    if found.doubt:
        return doubt(found.doubt)
    if not found.reference_falls:
        return "negated twice", f"{_SUBTRACTED}: its own step makes the reference loss rise. {_ADD}"
    for group in found.groups:
        if group.doubt:
            return doubt(f"at the domain classifier's weights {group.doubt}")
    return _judge_weights(found) or _judge_features(found)


_SUBTRACTED = "The domain loss is subtracted: the domain classifier is trained to be wrong"
_ADD = "Add the loss; the layer already has the minus."


def doubt(why: str) -> Named:
    """Return that there is no verdict, and why."""
    return "inconclusive", f"No verdict: {why}."


def _judge_weights(found: Symptoms) -> Named | None:
    last = found.groups[-1]
    signs = {math.copysign(1.0, group.at_alpha) for group in found.groups}
    if len(signs) == 2:
        if found.features is not None and found.features.doubt:
            return doubt(f"at the features {found.features.doubt}")
        if found.factor > 0.0:
            return "negated twice", (
                "The gradient is reversed twice: a second reversal stands inside the domain classifier, "
                f"so the extractor helps it ({found.factor:+.3g} times the true gradient)."
            )
        return "misplaced", (
            "The reversal stands inside the domain classifier: what is in front of it there is trained to be wrong. "
            "Put it between the features and the classifier."
        )
    if last.at_alpha < 0.0:
        if near(last.at_half, last.at_alpha / 2.0) and found.factor >= 0.0:
            return "misplaced", (
                "The reversal stands behind the domain classifier, which is trained to be wrong. "
                "Put it between the features and the classifier."
            )
        return "negated twice", (
            f"{_SUBTRACTED}, and the reversal turns that into help for it from the extractor. {_ADD}"
        )
    if not near(last.at_half, last.at_alpha):
        return "on the loss", (
            "Alpha multiplies the loss instead of standing in the layer alone: halving it takes the classifier's "
            f"own gradient from {last.at_alpha:.3g} to {last.at_half:.3g} of the true one, so it is slowed too."
        )
    low, high = (pick(group.at_alpha for group in found.groups) for pick in (min, max))
    if not near(low, high):
        return "wrong factor", (
            f"Parts of the domain classifier get other multiples of their true gradient: from {low:.3g} to {high:.3g}."
        )
    return None


def _judge_features(found: Symptoms) -> Named:
    alpha, features = found.alpha, found.features
    if found.blocked:
        return "detached", f"No domain gradient reaches the feature extractor: {found.blocked}."
    if features is None:
        if found.connected and found.given == 0.0:
            return doubt("alpha is 0 now, and the loss does not take the one given to it; ask again when it has risen")
        why = "the layer's factor is 0" if found.connected else "the graph is cut in front of the domain classifier"
        return "detached", f"No domain gradient reaches the features: {why}."
    if features.doubt:
        return doubt(f"at the features {features.doubt}")
    factor, half = found.factor, features.at_half / found.weight
    seen = f"the extractor's domain gradient is {factor:+.3g} times the true one at alpha {alpha:.3g}"
    if near(half, factor / 2.0):  # alpha stands in it once
        if near(factor, -alpha):
            return "reversed", f"The gradient is reversed: {seen}."
        if factor > 0.0:
            return "negated twice", f"The sign is negated twice: {seen}, so the extractor helps the classifier."
    elif near(half, factor / 4.0):
        if factor < 0.0:
            return "applied twice", f"Alpha is applied twice: {seen} and a quarter of that at half of it."
        return "negated twice", f"The gradient is reversed twice: {seen}, which is +alpha²."
    elif near(half, factor):
        if factor > 0.0:
            return "not reversed", f"The gradient is not reversed: {seen}, whatever alpha is."
        return "stuck", f"Alpha does not reach the layer: {seen} and the same at half of it."
    return "wrong factor", f"The factor is wrong: {seen}, expected {-alpha:.3g}."


def near(measured: float, expected: float) -> bool:
    """Whether two factors are the same within the tolerance."""
    return math.isfinite(measured) and abs(measured - expected) <= TOLERANCE * abs(expected)
