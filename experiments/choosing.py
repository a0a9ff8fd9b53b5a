"""Hyper-parameters chosen without a target label: by training back from the target to the source."""

from collections.abc import Sequence

from experiments.errors import BadInput
from experiments.experiment import Experiment, reverse
from experiments.identity import origin_of
from experiments.record.folder import folder_of, is_finished, read_points
from experiments.record.names import TARGET_ACCURACY
from experiments.validators import LAST, VALIDATORS, select


def score_reversed(experiment: Experiment) -> float:
    """The accuracy of a reversed run on the source, at the step whose weights it kept; the larger the better.

    One less the reverse validation risk of the run that it reverses.

    Raises:
        BadInput: It is not trained, or reverses nothing.
    """
    if not origin_of(experiment.pair)[2]:
        raise BadInput(f"{experiment.title} reverses no run; `reverse` makes one that does")
    folder = folder_of(experiment.hash)
    if not is_finished(folder):
        raise BadInput(f"{experiment.title} is not trained yet: python -m experiments run {experiment.pair}")
    scores: dict[int, dict[str, float]] = {}
    for point in read_points(folder):
        if TARGET_ACCURACY in point["values"]:  # the others are of training batches
            scores[point["step"]] = point["values"]
    has_validation = all(VALIDATORS["source_accuracy"].curve in each for each in scores.values())
    return scores[select(scores, "source_accuracy" if has_validation else LAST)][TARGET_ACCURACY]


def choose_reversed(candidates: Sequence[Experiment]) -> Experiment:
    """The candidate whose reversed run is the best; of equal ones the first.

    Raises:
        BadInput: One of the reversed runs is not trained.
    """
    return max(candidates, key=lambda candidate: score_reversed(reverse(candidate)))
