"""Which evaluation of a run is reported. The default looks at no label; `target_oracle` says in its name that it does."""

from collections.abc import Mapping

from experiments.record import (
    SELECTED_SOURCE_ACCURACY,
    SELECTED_STEP,
    SELECTED_TARGET_ACCURACY,
    SOURCE_ACCURACY,
    TARGET_ACCURACY,
)


def select(evaluations: Mapping[int, Mapping[str, float]], selection: str) -> dict[str, float]:
    """The reported numbers of a run.

    Args:
        evaluations: Step -> values of that evaluation.
        selection: `last`, or the score whose largest value decides (the later step on a tie); `target_oracle` takes the target test accuracy.

    Returns:
        selected_step, selected_source_accuracy and selected_target_accuracy.
    """
    if selection == "last":
        step = max(evaluations)
    else:
        score = TARGET_ACCURACY if selection == "target_oracle" else selection
        step = max(evaluations, key=lambda step: (evaluations[step][score], step))
    return {
        SELECTED_STEP: step,
        SELECTED_SOURCE_ACCURACY: evaluations[step][SOURCE_ACCURACY],
        SELECTED_TARGET_ACCURACY: evaluations[step][TARGET_ACCURACY],
    }
