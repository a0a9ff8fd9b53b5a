"""Which evaluation of a run is reported: chosen afterwards, by a score of what each evaluation recorded.

A validator is a function of NumPy arrays, the larger the better; none but `target_oracle` looks at target labels, and
that one says so in its name. The arrays are those of `record.names` at one step.
"""

from collections.abc import Mapping

import numpy as np

from experiments.errors import BadInput, unknown
from experiments.record.names import RECORDED, TARGET_VALIDATION_ACCURACY
from experiments.validators.a_distance import proxy_a_distance
from experiments.validators.base import Seen, Validator
from experiments.validators.class_ami import CLASS_AMI
from experiments.validators.class_correlation import CLASS_CORRELATION
from experiments.validators.ensv import ENSV
from experiments.validators.entropies import INFORMATION_MAXIMISATION, NEGATIVE_ENTROPY
from experiments.validators.importance import DEV, DEVN, IMPORTANCE_WEIGHTING, complete
from experiments.validators.mixval import MIXVAL
from experiments.validators.nuclear_norm import NUCLEAR_NORM
from experiments.validators.soft_neighbourhood_density import SOFT_NEIGHBOURHOOD_DENSITY
from experiments.validators.source_accuracy import SOURCE_ACCURACY
from experiments.validators.transfer_score import TRANSFER_SCORE

LAST = "last"
TARGET_ORACLE = "target_oracle"

VALIDATORS: dict[str, Validator] = {
    "source_accuracy": SOURCE_ACCURACY,
    "negative_entropy": NEGATIVE_ENTROPY,
    "information_maximisation": INFORMATION_MAXIMISATION,
    "nuclear_norm": NUCLEAR_NORM,
    "soft_neighbourhood_density": SOFT_NEIGHBOURHOOD_DENSITY,
    "class_correlation": CLASS_CORRELATION,
    "class_ami": CLASS_AMI,
    "importance_weighting": IMPORTANCE_WEIGHTING,
    "dev": DEV,
    "devn": DEVN,
    "mixval": MIXVAL,
    "transfer_score": TRANSFER_SCORE,
    "ensv": ENSV,
}
SELECTIONS = (LAST, *VALIDATORS, TARGET_ORACLE)

__all__ = [
    "LAST", "SELECTIONS", "TARGET_ORACLE", "VALIDATORS", "Seen", "Validator", "choose_largest", "curve_of",
    "find_validator", "proxy_a_distance", "score_all", "score_steps", "select",
]  # fmt: skip


def score_all(seen: Seen) -> dict[str, float]:
    """Every validator's score of one evaluation, by the name of its curve.

    Left out are those that compare evaluations, and those whose arrays are missing or not finite.
    """
    seen = complete(seen)
    finite = {name for name, values in seen.items() if np.isfinite(values).all()}
    return {
        each.curve: float(each.score(*(seen[name] for name in each.needs)))
        for each in VALIDATORS.values()
        if not each.compares and finite.issuperset(each.needs)
    }


def score_steps(selection: str, steps: Mapping[int, Seen]) -> dict[int, float]:
    """The scores of recorded evaluations by a validator, which may be younger than they are.

    Raises:
        BadInput: as `find_validator`; or naming what was not recorded.
    """
    validator = find_validator(selection)
    arrays = {step: complete(seen) for step, seen in steps.items()}
    missing = sorted({name for seen in arrays.values() for name in validator.needs if name not in seen})
    if missing:
        raise BadInput(f"selection {selection} needs {', '.join(missing)}, which was not recorded")
    if validator.compares:
        scores = validator.score(*(np.stack([seen[name] for seen in arrays.values()]) for name in validator.needs))
        return dict(zip(arrays, map(float, scores), strict=True))
    return {step: float(validator.score(*(seen[name] for name in validator.needs))) for step, seen in arrays.items()}


def find_validator(name: str) -> Validator:
    """A validator by its name, or one of a user's own by its import path `package.module:validator`.

    Raises:
        BadInput: there is none, or what is there is no `Validator` or goes by the name of what runs record.
    """
    if name in VALIDATORS:
        return VALIDATORS[name]
    if ":" not in name:
        raise unknown("validator", name, SELECTIONS)
    from experiments.identity import find

    if not isinstance(found := find(name), Validator):
        raise BadInput(f"{name} must be an experiments.validators.Validator, got {found!r}")
    if found.curve in {*RECORDED, *(each.curve for each in VALIDATORS.values() if each is not found)}:
        raise BadInput(f"curve of {name} must be a name of its own, got {found.curve!r}, which every run records")
    return found


def curve_of(selection: str) -> str:
    """The curve whose largest value a selection other than `last` chooses.

    Raises:
        BadInput: as `find_validator`.
    """
    return TARGET_VALIDATION_ACCURACY if selection == TARGET_ORACLE else find_validator(selection).curve


def select(scores: Mapping[int, Mapping[str, float]], selection: str) -> int:
    """The step whose evaluation is reported.

    Args:
        scores: Step -> curves of that evaluation.
        selection: `last`; a validator, whose largest score decides (the later step on a tie); or `target_oracle`, which
            takes the accuracy on labelled target samples that are not reported.

    Raises:
        BadInput: an unknown selection, or one whose score was not recorded.
    """
    if selection == LAST:
        return max(scores)
    curve = curve_of(selection)
    if any(curve not in values for values in scores.values()):
        raise BadInput(f"selection {selection} needs {curve}, which was not recorded")
    return choose_largest({step: values[curve] for step, values in scores.items()})


def choose_largest(scores: Mapping[int, float]) -> int:
    """The step of the largest score: of equal ones the later."""
    return max(scores, key=lambda step: (scores[step], step))
