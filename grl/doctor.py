"""The doctor: is the gradient really reversed, and by how much?

    verdict = examine(feature_extractor, domain_classifier, source, target, alpha=0.5)
    print(verdict.sentence)

It takes the gradients a training step would take, and compares them with the true slope of the domain loss, found
by moving the features and the classifier's weights a little and looking at the loss. Weights, gradients, running
averages and random state are left as they were. Call it once before training; it costs about fifteen forward
passes of the domain classifier and two of the extractor.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from grl.checks import require_at_least, require_count
from grl.losses.adversarial import flatten_logits
from grl.losses.domain import domain_adversarial_loss, domain_loss
from grl.measure import keep_state, measure_factor, measure_norm, probe_domains, restart_random
from grl.schedules import AnySchedule

Status = Literal[
    "reversed",
    "dead",
    "detached",
    "not reversed",
    "negated twice",
    "applied twice",
    "on the loss",
    "stuck",
    "wrong factor",
    "saturated",
]
TOLERANCE = 0.05
"""How far a measured factor may be from the expected one, as a share of it."""

AdversarialTerm = Callable[[Tensor, Tensor, float], Tensor]
PlainTerm = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the doctor found.

    Args:
        status: "reversed" where all is well, else the fault's name.
        sentence: the finding in plain words.
        alpha: the coefficient it was measured at; 1 where the one given was 0.
        factor: the extractor's domain gradient over the one without reversal, both per unit of domain weight;
            -alpha where all is well.
        weight: the domain classifier's own gradient over the true one: the weight of the domain loss, the same for
            every alpha.
        gradient_norm: norm of the domain gradient that reaches the feature extractor at that alpha.
        classifier_norm: norm of the domain classifier's own gradient; 0 means that it cannot move.
        domain_loss: the adversary's loss without any weight, in nats.
        probe_accuracy: how well a fresh linear probe tells the domains apart by the features, on unseen samples;
            0.5 is confusion.
        meaning: what that domain loss means here.
    """

    status: Status
    sentence: str
    alpha: float
    factor: float
    weight: float
    gradient_norm: float
    classifier_norm: float
    domain_loss: float
    probe_accuracy: float
    meaning: str

    @property
    def healthy(self) -> bool:
        """Whether the gradient is reversed as asked."""
        return self.status == "reversed"


class _Reading(NamedTuple):
    alpha: float
    factor: float
    weight: float
    gradient_norm: float
    classifier_norm: float


def examine(
    feature_extractor: nn.Module,
    domain_classifier: nn.Module,
    source: Tensor,
    target: Tensor,
    alpha: float = 1.0,
    *,
    adversarial_loss: AdversarialTerm | None = None,
    plain_loss: PlainTerm | None = None,
    schedule: AnySchedule | None = None,
    steps: int = 1000,
) -> Verdict:
    """Return what the gradient reversal does to these networks on this batch.

    Args:
        feature_extractor: inputs to features `(N, ...)`.
        domain_classifier: what stands behind the reversal; features to logits `(N,)` or `(N, 1)`.
        source: a batch of source inputs.
        target: a batch of target inputs.
        alpha: the coefficient to train with now, finite and >= 0.
        adversarial_loss: your own adversarial term, exactly as it is added to the label loss: features, domain
            labels and alpha to a scalar. None takes the domain loss behind `gradient_reversal`.
        plain_loss: what the adversary should minimise, without weight or reversal: features and domain labels to a
            scalar. None takes the domain loss of `domain_classifier`; give it for adversaries that are no domain
            classifier.
        schedule: of alpha; if given, it is looked at for being saturated from the start.
        steps: the length of the training, for schedules with a horizon in steps.

    Returns:
        The verdict.

    Raises:
        ValueError: if alpha is out of range or a shape is not as said.
    """
    alpha = require_at_least("alpha", alpha, 0.0)
    require_count("steps", steps)
    term = adversarial_loss or _default_term(domain_classifier)
    plain = plain_loss or _default_plain(domain_classifier)
    tested = alpha or 1.0
    with keep_state([feature_extractor, domain_classifier]):
        domain_labels = torch.cat([torch.zeros(len(source)), torch.ones(len(target))]).to(source.device)
        restart_random()
        features = cast(Tensor, feature_extractor(torch.cat([source, target])))
        readings = [
            _read(features, domain_labels, feature_extractor, domain_classifier, term, plain, coefficient)
            for coefficient in (tested, tested / 2.0)
        ]
        loss = _evaluate(plain, features.detach(), domain_labels)
        is_one = plain_loss is None and _is_one(domain_classifier, features)
        probe = probe_domains(features, domain_labels)
    status, sentence = _judge(readings[0], readings[1], is_one)
    if status == "reversed" and schedule is not None and _is_saturated(schedule, steps):
        status, sentence = (
            "saturated",
            (
                f"The gradient is reversed, but the schedule is saturated from the start: at 1 % of the training "
                f"alpha is already "
                f"{_call(schedule, 0.01, steps):.3g} of a final {_call(schedule, 1.0, steps):.3g}."
            ),
        )
    if alpha == 0.0 and status == "reversed":
        sentence += " Alpha is 0 now: nothing is reversed yet (measured at alpha 1)."
    return Verdict(
        status=status,
        sentence=sentence,
        **readings[0]._asdict(),
        domain_loss=loss,
        probe_accuracy=probe,
        meaning=_explain(loss, probe, len(domain_labels), dead=status == "dead"),
    )


def _default_term(domain_classifier: nn.Module) -> AdversarialTerm:
    return lambda features, labels, alpha: domain_adversarial_loss(domain_classifier, features, labels, alpha).loss


def _default_plain(domain_classifier: nn.Module) -> PlainTerm:
    def plain(features: Tensor, domain_labels: Tensor) -> Tensor:
        return domain_loss(flatten_logits(domain_classifier(features), features).double(), domain_labels)

    return plain


def _evaluate(plain: PlainTerm, features: Tensor, domain_labels: Tensor) -> float:
    restart_random()
    with torch.no_grad():
        return plain(features, domain_labels).item()


def _read(
    features: Tensor,
    domain_labels: Tensor,
    feature_extractor: nn.Module,
    domain_classifier: nn.Module,
    term: AdversarialTerm,
    plain: PlainTerm,
    alpha: float,
) -> _Reading:
    weights = [p for p in domain_classifier.parameters() if p.requires_grad]
    reached = [features, *(p for p in feature_extractor.parameters() if p.requires_grad)]
    if not features.requires_grad:
        reached = []
    restart_random()
    grads = _differentiate(term(features, domain_labels, alpha), [*reached, *weights])
    reaching, own = grads[: len(reached)], grads[len(reached) :]
    position = features.detach().clone()

    def evaluate() -> float:
        return _evaluate(plain, position, domain_labels)

    weight = measure_factor(evaluate, weights, own)
    factor = measure_factor(evaluate, [position], reaching[:1]) / weight if reached and weight else 0.0
    return _Reading(alpha, factor, weight, measure_norm(reaching[1:]), measure_norm(own))


def _differentiate(loss: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    if not loss.requires_grad or not inputs:
        return [torch.zeros_like(value) for value in inputs]
    grads = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True, materialize_grads=True)
    return list(grads)


def _is_one(domain_classifier: nn.Module, features: Tensor) -> bool:
    restart_random()
    with torch.no_grad():
        return bool((domain_classifier(features) == 1.0).all())


def _judge(first: _Reading, second: _Reading, is_one: bool) -> tuple[Status, str]:
    """Name what the readings at alpha and at half of it show."""
    alpha, factor = first.alpha, first.factor
    if first.classifier_norm == 0.0:
        why = (
            "its output is 1 whatever it sees, as a softmax over one logit is"
            if is_one
            else "its gradient is exactly 0"
        )
        return "dead", f"The domain classifier cannot move: {why}. The domain loss says nothing."
    if first.weight < 0.0:
        return "negated twice", (
            "The domain loss is subtracted: the domain classifier is trained to be wrong, and the reversal turns that "
            "into help for it from the extractor. Add the loss; the layer already has the minus."
        )
    if factor == 0.0 and second.factor == 0.0:
        return "detached", "No domain gradient reaches the features: the graph is cut, or the layer's factor is 0."
    if first.gradient_norm == 0.0:
        return "detached", "No domain gradient reaches the feature extractor: it is frozen, or its output is detached."
    if not _near(first.weight, second.weight):
        return "on the loss", (
            "Alpha multiplies the loss instead of standing in the layer alone: halving it takes the classifier's "
            f"own gradient from {first.weight:.3g} to {second.weight:.3g} of the true one, so it is slowed too."
        )
    seen = f"the extractor's domain gradient is {factor:+.3g} times the true one at alpha {alpha:.3g}"
    half = second.alpha
    tests: list[tuple[Status, float, float, str]] = [
        ("reversed", -alpha, -half, f"The gradient is reversed: {seen}."),
        ("applied twice", -(alpha**2), -(half**2), f"Alpha is applied twice: {seen}, which is -alpha²."),
        ("not reversed", 1.0, 1.0, f"The gradient is not reversed: {seen}, whatever alpha is."),
        ("negated twice", alpha, half, f"The sign is negated twice: {seen}, so the extractor helps the classifier."),
        ("negated twice", alpha**2, half**2, f"The gradient is reversed twice: {seen}, which is +alpha²."),
        ("stuck", factor, factor, f"Alpha does not reach the layer: {seen} and the same at half of it."),
    ]
    for status, at_alpha, at_half, sentence in tests:
        if _near(factor, at_alpha) and _near(second.factor, at_half):
            return status, sentence
    return "wrong factor", f"The factor is wrong: {seen}, expected {-alpha:.3g}."


def _near(measured: float, expected: float) -> bool:
    return math.isfinite(measured) and abs(measured - expected) <= TOLERANCE * abs(expected)


def _call(schedule: AnySchedule, progress: float, steps: int) -> float:
    return schedule(progress, step=round(progress * steps))


def _is_saturated(schedule: AnySchedule, steps: int) -> bool:
    # A constant schedule does not mean to rise; one that does should not have arrived after 1 % of the training.
    start, soon, end = (_call(schedule, progress, steps) for progress in (0.0, 0.01, 1.0))
    return start < end and soon >= 0.95 * end


def _explain(loss: float, probe: float, samples: int, *, dead: bool) -> str:
    chance = math.log(2.0)
    if dead:
        return f"domain loss {loss:.3f} comes from a dead adversary"
    if abs(loss - chance) > 0.05:
        told = "tells the domains apart" if loss < chance else "is surer than it is right"
        return f"domain loss {loss:.3f} is away from ln 2: the domain classifier {told}"
    if math.isnan(probe):
        return f"domain loss {loss:.3f} is near ln 2; too few samples to say whether the features are confused"
    # Both folds share their samples, so the spread is about 1.25 binomial errors: three of them are passed once in 100.
    if probe > 0.5 + 3.0 * math.sqrt(0.25 / samples):
        return (
            f"domain loss {loss:.3f} is near ln 2, but a fresh probe is right on {probe:.0%}: the features are "
            f"not confused, the domain "
            "classifier has not learnt to see it"
        )
    return f"domain loss {loss:.3f} is near ln 2 and a fresh probe is right on {probe:.0%}: the domains are confused"
