"""The health of a finished run in plain words: what its domain loss means, and which fault it has, if any.

It is said of the last step, and computed of what was recorded. Nothing is chosen by it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.methods import Method
from experiments.methods.fitted import Fitted
from experiments.record import names
from experiments.validators import Seen
from experiments.validators.base import entropy, softmax

HEALTHY = "healthy"
NEAR_CHANCE = 0.05  # nats, as of `grl.meaning`
SEPARABLE = 0.3  # proxy A-distance that a probe finds by chance, of 500 samples a domain
NO_GRADIENT = 1e-4  # of the label loss's: what rounding leaves
FEW_CLASSES = 0.25  # of the number of classes that are used beyond the first


class Health(NamedTuple):
    """The faults by name, or "healthy"; and all findings with their figures, one a line, as Markdown."""

    status: str
    report: str


def examine_run(
    numbers: Mapping[str, float],
    seen: Seen,
    *,
    shares: Sequence[float],
    method: Method,
    verdict: tuple[str, str] | None,
) -> Health:
    """What a run's numbers say together.

    Args:
        numbers: The last value of each curve, and the single numbers of a finished run.
        seen: The arrays of the last evaluation.
        shares: Of what an adversary tells apart in a batch: those of the domains, or of sources and targets.
        method: What was trained.
        verdict: The doctor's status and sentence, before the first step.
    """
    findings = [
        *_examine_adversary(numbers, shares),
        *_examine_predictions(seen),
        _examine_labels(numbers, seen, method),
        *(
            [("" if verdict[0] in ("reversed", "inconclusive") else verdict[0], f"doctor: {verdict[1]}")]
            if verdict
            else []
        ),
    ]
    faults = dict.fromkeys(fault for fault, _ in findings if fault)
    lines = [f"**{fault}**: {text}" if fault else text for fault, text in findings]
    status = ", ".join(faults) or HEALTHY
    return Health(status, "\n".join([f"health: {status}", *(f"- {line}" for line in lines)]))


def _examine_adversary(numbers: Mapping[str, float], shares: Sequence[float]) -> list[tuple[str, str]]:
    # Whether it is alive, what its loss means, and how it pulls at the features.
    found = []
    moved, ratio, cosine = (
        numbers.get(name) for name in (names.ADVERSARY_MOVED, names.GRADIENT_RATIO, names.GRADIENT_COSINE)
    )
    if moved == 0:
        found.append(("dead adversary", "the weights of the domain classifier are those that it began with"))
    if ratio is not None and ratio <= NO_GRADIENT:
        found.append(
            ("dead adversary", f"its gradient at the features is {ratio:.1e} of the label loss's: it passes nothing on")
        )
    elif ratio is not None and cosine is not None:
        pull = "against" if cosine < 0 else "along with"
        found.append(
            (
                "",
                f"at the features the adversary pulls {pull} the label loss: cosine {cosine:+.2f}, "
                f"{ratio:.2g} times its gradient",
            )
        )
    distance, loss = numbers[names.PROXY_A_DISTANCE], numbers.get(names.DOMAIN_LOSS)
    probe = f"a fresh probe finds a proxy A-distance of {distance:.2f} (0 confused, 2 separable)"
    if loss is None:
        return [*found, ("", probe)]
    chance = float(entropy(np.array(shares)))
    guess = f"ln {len(shares)}" if len({*shares}) == 1 else f"the entropy of {len(shares)} unequal shares"
    figures = f"domain loss {loss:.3f}"
    if (accuracy := numbers.get(names.DOMAIN_ACCURACY)) is not None:
        figures = f"domain accuracy {accuracy:.3f} (chance {max(shares):.3f}), {figures}"
    if loss < chance - NEAR_CHANCE:
        meaning = f"below {guess} = {chance:.3f}: the domain classifier tells the domains apart; {probe}"
    elif loss > chance + NEAR_CHANCE:
        meaning = f"above {guess} = {chance:.3f}: the domain classifier is surer than it is right; {probe}"
    elif distance > SEPARABLE:
        meaning = f"at chance, {guess}, but {probe}: the domains are not confused, the classifier does not see it"
    else:
        meaning = f"at chance, {guess}, and {probe}: the domains are confused"
    return [*found, ("", f"{figures}: {meaning}")]


def _examine_predictions(seen: Seen) -> list[tuple[str, str]]:
    # Whether the target has collapsed: into few classes, or its features into a point.
    logits = seen[names.TARGET_LOGITS]
    classes = logits.shape[1]
    shares = np.bincount(logits.argmax(1), minlength=classes) / len(logits)
    known = seen.get(names.SOURCE_LABELS)
    expected = np.full(classes, 1 / classes) if known is None else np.bincount(known, minlength=classes) / len(known)
    used, wanted = (math.exp(entropy(of)) for of in (shares, expected))
    collapsed = used - 1 < FEW_CLASSES * (wanted - 1)
    text = (
        f"target predictions use {np.count_nonzero(shares)} of {classes} classes, {used:.1f} in effect "
        f"(source {wanted:.1f}); the largest takes {shares.max():.0%}; entropy of the mean prediction "
        f"{float(entropy(softmax(logits).mean(0))):.2f} of ln {classes} = {math.log(classes):.2f}"
    )
    found = [("collapse" if collapsed else "", text)]
    features = seen.get(names.TARGET_FEATURES)
    if features is not None and np.isfinite(features).all():
        rank = measure_rank(features)
        flat = rank == 0
        found.append(
            ("collapse" if flat and not collapsed else "", f"effective rank of the target features {rank:.1f}")
        )
    return found


def measure_rank(features: np.ndarray) -> float:
    """Effective rank of centred features (N, D), exp of the entropy of the singular values' shares; 0 of equal ones.

    Roy and Vetterli (2007). Of as many dimensions at most as were recorded.
    """
    centred = features - features.mean(0, dtype=np.float64)
    values = np.linalg.svd(centred, compute_uv=False)
    return math.exp(entropy(values / values.sum())) if values.any() else 0.0


def _examine_labels(numbers: Mapping[str, float], seen: Seen, method: Method) -> tuple[str, str]:
    # Whether what it was trained on as labels says anything about samples that it was not trained on.
    known = seen.get(names.SOURCE_LABELS)
    classes = seen[names.TARGET_LOGITS].shape[1]
    chance = 1 / classes if known is None else np.bincount(known).max() / len(known)
    if method.reads == "target labels":
        accuracy, where, count = (
            numbers[names.TARGET_VALIDATION_ACCURACY],
            "unseen target samples",
            len(seen[names.LABELS]),
        )
    elif known is not None:
        accuracy, where, count = numbers["source_validation_accuracy"], "held-out source samples", len(known)
    else:
        accuracy, where, count = numbers[names.SOURCE_ACCURACY], "source samples, trained on,", len(seen[names.LABELS])
    text = f"{accuracy:.3f} of {where} are classified rightly (guessing: {chance:.3f})"
    # The cross entropy of a fit's margins says nothing.
    loss = None if isinstance(method, Fitted) else numbers.get(names.LABEL_LOSS)
    if loss is not None:
        text += f"; label loss {loss:.3f} (guessing: ln {classes} = {math.log(classes):.3f})"
    guessed = accuracy <= chance + 3 * math.sqrt(chance * (1 - chance) / count)  # three standard deviations
    if not guessed and (loss is None or loss < math.log(classes) - NEAR_CHANCE):
        return "", text
    return "useless labels", f"{text}: the labels that it was trained on are wrong or shuffled, or nothing was learnt"
