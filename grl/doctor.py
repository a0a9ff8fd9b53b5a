"""The doctor: is the gradient really reversed, and by how much?

    verdict = examine(feature_extractor, domain_classifier, source, target, alpha=0.5)
    print(verdict.sentence)

It takes the gradients a training step would take, and compares them with the true slope of the domain loss, found
by moving the features and the classifier's weights a little and looking at the loss, on copies in double precision.
Where the slope cannot be told it says so. Weights, gradients, running averages and random state are left as they
were. Call it once before training; it costs about thirty forward passes of the domain classifier and one of the
extractor.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from grl.checks import require_at_least, require_count, require_tensor
from grl.diagnosis import Named, Status, Symptoms, judge
from grl.examination import Terms, look, take_step
from grl.losses.adversarial import AdversarialLoss, read_logits
from grl.losses.domain import domain_loss
from grl.losses.several import AdversarialLosses
from grl.meaning import explain
from grl.obstacles import as_in_training, find_obstacle
from grl.probe import probe_domains
from grl.reversal import gradient_reversal
from grl.scene import AdversarialTerm, PlainTerm, is_floating, restart_random
from grl.schedules import AnySchedule, require_schedule


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the doctor found.

    Args:
        status: "reversed" where all is well, "inconclusive" where it could not be told, else the fault's name.
        sentence: the finding in plain words.
        alpha: the coefficient it was measured at; 1 where the one given was 0.
        factor: the extractor's domain gradient over the one without reversal, both per unit of domain weight;
            -alpha where all is well; NaN where it could not be told.
        error: the relative error of the factor, from two step sizes.
        weight: the domain classifier's own gradient over the true one: the weight of the domain loss, the same for
            every alpha.
        gradient_norm: norm of the domain gradient that reaches the feature extractor at that alpha.
        classifier_norm: norm of the domain classifier's own gradient; 0 means that it cannot move.
        domain_loss: the adversary's loss without any weight, in nats.
        probe_accuracy: how well a fresh linear probe tells two domains apart by the features, on unseen samples;
            0.5 is confusion.
        meaning: what that domain loss means here.
    """

    status: Status
    sentence: str
    alpha: float
    factor: float = math.nan
    error: float = math.nan
    weight: float = math.nan
    gradient_norm: float = math.nan
    classifier_norm: float = math.nan
    domain_loss: float = math.nan
    probe_accuracy: float = math.nan
    meaning: str = "nothing was measured"

    @property
    def healthy(self) -> bool:
        """Whether the gradient is reversed as asked."""
        return self.status == "reversed"


def examine(
    feature_extractor: nn.Module,
    domain_classifier: nn.Module,
    source: Any,
    target: Any,
    alpha: float = 1.0,
    *,
    domain_labels: Tensor | None = None,
    adversarial_loss: AdversarialTerm | None = None,
    plain_loss: PlainTerm | None = None,
    reference_loss: PlainTerm | None = None,
    schedule: AnySchedule | None = None,
    steps: int = 1000,
) -> Verdict:
    """Return what the gradient reversal does to these networks on this batch.

    Args:
        feature_extractor: inputs to features `(N, ...)`, or to a pytree of them, which goes on as it is.
        domain_classifier: what stands behind the reversal; features to logits `(N,)`, `(N, 1)` or `(N, K)`. An
            adversary of several heads comes as a module that holds them all, with losses of its own.
        source: a batch of source inputs: a tensor, or a pytree or mapping of tensors.
        target: a batch of target inputs, of the same structure.
        alpha: the coefficient to train with now, finite and >= 0.
        domain_labels: of source and target, one after the other; None takes source 0, target 1. With K domains,
            integers 0 to K - 1.
        adversarial_loss: your own adversarial term, exactly as it is added to the label loss: features, domain
            labels and alpha to a scalar, or to what a loss of `grl.losses` returns; the two below may do so, too.
            None takes the domain loss behind `gradient_reversal`.
        plain_loss: what the adversary should minimise, without weight or reversal: features and domain labels to a
            scalar. None takes the domain loss of `domain_classifier`; give it for adversaries that are no domain
            classifier.
        reference_loss: a loss whose direction alone counts, features and domain labels to a scalar: what falls
            where the adversary learns, whatever signs the two above carry.
        schedule: of alpha; if given, it is looked at for being saturated from the start.
        steps: the length of the training, for schedules with a horizon in steps.

    Returns:
        The verdict.

    Raises:
        TypeError: if a batch or the domain labels are no tensors, or a loss returns none.
        ValueError: if alpha is out of range, a shape is not as said, or a module is still lazy.
    """
    given = require_at_least("alpha", alpha, 0.0)
    require_count("steps", steps)
    if schedule is not None:
        require_schedule("schedule", schedule)
    networks = {"feature_extractor": feature_extractor, "domain_classifier": domain_classifier}
    with torch.inference_mode(False):  # what is made inside could not be differentiated
        _require_tensors("source", source)
        _require_tensors("target", target)
        inputs = _join(source, target)
        if domain_labels is None:
            domain_labels = torch.cat([torch.zeros(_count(source)), torch.ones(_count(target))])
        domain_labels = require_tensor("domain_labels", domain_labels).clone()
    obstacle = find_obstacle(networks, inputs, domain_labels)
    if obstacle is not None:
        return Verdict(status=obstacle[0], sentence=obstacle[1], alpha=given or 1.0)
    terms = Terms(
        _read_loss("adversarial_loss", adversarial_loss or _default_term(domain_classifier)),
        _read_loss("plain_loss", plain_loss or _default_plain(domain_classifier)),
        reference_loss and _read_loss("reference_loss", reference_loss),
        own_adversarial=adversarial_loss is not None,
        own_plain=plain_loss is not None,
    )
    with as_in_training(list(networks.values()), _first(inputs).device):
        verdict = _examine(feature_extractor, domain_classifier, inputs, domain_labels, given, terms)
    if not verdict.healthy:
        return verdict
    if schedule is not None and _is_saturated(schedule, steps):
        soon, end = _call(schedule, 0.01, steps), _call(schedule, 1.0, steps)
        sentence = (
            "The gradient is reversed, but the schedule is saturated from the start: at 1 % of the training alpha is "
            f"already {soon:.3g} of a final {end:.3g}."
        )
        return replace(verdict, status="saturated", sentence=sentence)
    if given == 0.0:
        sentence = verdict.sentence + " Alpha is 0 now: nothing is reversed yet (measured at alpha 1)."
        return replace(verdict, sentence=sentence)
    return verdict


def _examine(
    feature_extractor: nn.Module, heads: nn.Module, inputs: Any, domain_labels: Tensor, given: float, terms: Terms
) -> Verdict:
    alpha = given or 1.0
    restart_random()
    features = feature_extractor(inputs)
    leaves = [leaf for leaf in pytree.tree_leaves(features) if is_floating(leaf)]
    if not leaves:
        raise ValueError(f"feature_extractor must return floating tensors, got {type(features).__name__}")
    domain_labels = domain_labels.to(leaves[0].device)
    step = take_step(feature_extractor, heads, features, domain_labels, terms.adversarial, alpha)
    still = "no gradient passes through the feature extractor, its units are all off" if step.still else ""
    symptoms = Symptoms(alpha=alpha, given=given, blocked=step.blocked, doubt=still)
    loss, symptoms = look(heads, features, domain_labels, terms, symptoms)
    if not step.finite or not math.isfinite(loss):
        named: Named = "not finite", f"The adversarial loss or its gradient is not finite (domain loss {loss:.3g})."
    else:
        named = judge(symptoms)
    flat = [leaf.detach().double().reshape(len(leaf), -1) for leaf in leaves if len(leaf) == len(domain_labels)]
    probe = probe_domains(torch.cat(flat, 1), domain_labels) if flat and domain_labels.ndim == 1 else math.nan
    return Verdict(
        status=named[0],
        sentence=named[1],
        alpha=alpha,
        factor=symptoms.factor,
        error=symptoms.error,
        weight=symptoms.weight,
        gradient_norm=step.gradient_norm,
        classifier_norm=step.classifier_norm,
        domain_loss=loss,
        probe_accuracy=probe,
        meaning=explain(loss, probe, domain_labels, dead=named[0] == "dead", in_nats=not terms.own_plain),
    )


def _default_term(domain_classifier: nn.Module) -> AdversarialTerm:
    def adversarial(features: Any, domain_labels: Tensor, alpha: float) -> Tensor:
        return _default_plain(domain_classifier)(gradient_reversal(features, alpha), domain_labels)

    return adversarial


def _default_plain(domain_classifier: nn.Module) -> PlainTerm:
    def plain(features: Any, domain_labels: Tensor) -> Tensor:
        return domain_loss(read_logits(domain_classifier(features), domain_labels.shape), domain_labels)

    return plain


def _read_loss(name: str, term: Callable[..., Any]) -> Callable[..., Tensor]:
    def read(*arguments: Any) -> Tensor:
        found = term(*arguments)
        loss = found.loss if isinstance(found, (AdversarialLoss, AdversarialLosses)) else found
        if not isinstance(loss, Tensor):
            raise TypeError(f"{name} must return a scalar tensor or an AdversarialLoss, got {type(loss).__name__}")
        if loss.numel() != 1:
            raise ValueError(f"{name} must return a scalar, got shape {tuple(loss.shape)}")
        return loss

    return read


def _require_tensors(name: str, batch: Any) -> None:
    leaves = pytree.tree_leaves(_as_tree(batch))
    if not leaves or not all(isinstance(leaf, Tensor) for leaf in leaves):
        kinds = ", ".join(sorted({type(leaf).__name__ for leaf in leaves})) or "nothing"
        raise TypeError(f"{name} must be a tensor, or a pytree or mapping of tensors, got {kinds}")


def _join(source: Any, target: Any) -> Any:
    def join(first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([first, second])

    return pytree.tree_map(join, _as_tree(source), _as_tree(target))


def _as_tree(batch: Any) -> Any:
    return (
        dict[Any, Any](**batch) if isinstance(batch, Mapping) else batch
    )  # what tokenizers return is a mapping of their own


def _first(inputs: Any) -> Tensor:
    return next(leaf for leaf in pytree.tree_leaves(inputs) if isinstance(leaf, Tensor))


def _count(batch: Any) -> int:
    return len(_first(_as_tree(batch)))


def _call(schedule: AnySchedule, progress: float, steps: int) -> float:
    return schedule(progress, step=round(progress * steps))


def _is_saturated(schedule: AnySchedule, steps: int) -> bool:
    # A constant schedule does not mean to rise; one that does should not have arrived after 1 % of the training.
    start, soon, end = (_call(schedule, progress, steps) for progress in (0.0, 0.01, 1.0))
    return start < end and soon >= 0.95 * end
