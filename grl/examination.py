"""One examination: from networks and a batch to what is wrong with the gradient, as numbers."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from grl.diagnosis import Symptoms
from grl.measure import measure_norm
from grl.scene import (
    AdversarialTerm,
    Finding,
    PlainTerm,
    Scene,
    fill,
    is_cut,
    is_floating,
    is_negligible,
    is_nothing,
    restart_random,
    set_scene,
)


class Terms(NamedTuple):
    """The losses of one examination.

    Args:
        adversarial: with the reversal inside.
        plain: without it.
        reference: what falls where the adversary learns, or None.
        own_adversarial: whether the first is the user's.
        own_plain: whether the second is; else it is the domain loss of what the classifier returns.
    """

    adversarial: AdversarialTerm
    plain: PlainTerm
    reference: PlainTerm | None
    own_adversarial: bool
    own_plain: bool


class Step(NamedTuple):
    """What a training step would take, in the precision it is taken in.

    Args:
        gradient_norm: norm of the domain gradient in the feature extractor.
        classifier_norm: norm of the domain classifier's own gradient.
        blocked: why nothing can pass through the feature extractor; empty where it can.
        still: whether nothing does although it can, as where all its units are off.
        finite: whether loss and gradients are.
    """

    gradient_norm: float
    classifier_norm: float
    blocked: str
    still: bool
    finite: bool


def take_step(
    feature_extractor: nn.Module,
    heads: nn.Module,
    features: Any,
    domain_labels: Tensor,
    adversarial: AdversarialTerm,
    alpha: float,
) -> Step:
    """Return what a training step would take; nothing is changed."""
    before = [p for p in feature_extractor.parameters() if p.requires_grad]
    own = [p for p in heads.parameters() if p.requires_grad]
    restart_random()
    loss = adversarial(features, domain_labels, alpha)
    grads = fill(_differentiate(loss, [*before, *own]), [*before, *own])
    norms = measure_norm(grads[: len(before)]), measure_norm(grads[len(before) :])
    finite = all(map(math.isfinite, (loss.item(), *norms)))
    leaves = [leaf for leaf in pytree.tree_leaves(features) if is_floating(leaf) and leaf.requires_grad]
    blocked = "it is frozen" if not before else "" if leaves else "its output is detached"
    return Step(*norms, blocked, not blocked and not _passes(before, leaves), finite)


def _passes(before: Sequence[Tensor], leaves: Sequence[Tensor]) -> bool:
    """Whether a random gradient at the features reaches the weights in front of them."""
    generator = torch.Generator().manual_seed(0)
    waves = [(x * torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)).sum() for x in leaves]
    return measure_norm(fill(_differentiate(torch.stack(waves).sum(), before), before)) > 0.0


def _differentiate(loss: Tensor, at: Sequence[Tensor]) -> list[Tensor | None]:
    if not loss.requires_grad or not at:
        return [None] * len(at)
    return list(torch.autograd.grad(loss, at, retain_graph=True, allow_unused=True))


def look(
    heads: nn.Module, features: Any, domain_labels: Tensor, terms: Terms, symptoms: Symptoms
) -> tuple[float, Symptoms]:
    """Return the plain loss, and the symptoms with what the copies of the adversary show.

    In double precision where that can be had: a device or a kernel may lack it, or insist on another dtype.
    """
    try:
        return _look(heads, features, domain_labels, terms, symptoms, wide=True)
    except Exception:
        return _look(heads, features, domain_labels, terms, symptoms, wide=False)


def _look(
    heads: nn.Module, features: Any, domain_labels: Tensor, terms: Terms, symptoms: Symptoms, *, wide: bool
) -> tuple[float, Symptoms]:
    with set_scene(heads, features, domain_labels, wide=wide) as scene:
        loss = scene.evaluate(terms.plain)
        if not math.isfinite(loss) or not scene.groups:
            return loss, replace(symptoms, dead="" if scene.groups else "it has no weights to train")
        low, high = (-math.inf, math.inf) if terms.own_plain else scene.find_range(heads)
        if low == high == 1.0:
            return loss, replace(symptoms, dead="its output is 1 whatever it sees, as a softmax over one logit is")
        if -1.0 <= low <= high <= 1.0:
            if not terms.own_adversarial:
                return loss, replace(symptoms, squashed=True)
            doubt = "the domain classifier returns probabilities, and its loss is taken of logits; give plain_loss"
            return loss, replace(symptoms, doubt=doubt)
        scene.step_aside()
        return loss, _compare(scene, terms, symptoms)


def _compare(scene: Scene, terms: Terms, symptoms: Symptoms) -> Symptoms:
    alpha = symptoms.alpha
    at_alpha, at_half, plain = (
        scene.differentiate(lambda f, y: terms.adversarial(f, y, alpha)),
        scene.differentiate(lambda f, y: terms.adversarial(f, y, alpha / 2.0)),
        scene.differentiate(terms.plain),
    )
    if is_nothing(at_alpha.groups):
        return replace(symptoms, dead="its gradient is exactly 0")
    groups = tuple(
        scene.compare(terms.plain, at, (at_alpha.groups[k], at_half.groups[k]), plain.groups[k], may_hold=True)
        for k, at in enumerate(scene.groups)
        if not is_negligible(at_alpha.groups[k], at_alpha.groups) or not is_negligible(plain.groups[k], plain.groups)
    )
    features: Finding | None = None
    if not is_nothing([at_alpha.features]) or not is_nothing([at_half.features]):
        pulled = at_alpha.features, at_half.features
        features = scene.compare(terms.plain, scene.features, pulled, plain.features, may_hold=terms.own_plain)
    found = replace(
        symptoms,
        groups=groups,
        features=features,
        connected=not is_cut(at_alpha.features),
    )
    if features is None and found.connected and is_nothing([plain.features]) and not is_cut(plain.features):
        return replace(found, doubt="the domain classifier passes no gradient on, its hidden units are all off")
    if terms.reference is None:
        return found
    weights = [weight for group in scene.groups for weight in group]
    own = fill([grad for group in at_alpha.groups for grad in group], weights)
    rise = scene.measure(terms.reference, weights, own)
    if rise.error >= abs(rise.value):
        return replace(found, doubt="the reference loss is level along the classifier's own step")
    return replace(found, reference_falls=rise.value > 0.0)
