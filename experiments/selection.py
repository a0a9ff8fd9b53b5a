"""Which evaluation of a run is reported. Only `target_oracle` looks at target labels, and says so in its name."""

from collections.abc import Mapping

from experiments.record import SELECTED, SELECTED_STEP, TARGET_ACCURACY


def select(evaluations: Mapping[int, Mapping[str, float]], selection: str) -> dict[str, float]:
    """The reported numbers of a run.

    Args:
        evaluations: Step -> values of that evaluation.
        selection: `last`, or the score whose largest value decides (the later step on a tie); `target_oracle` takes the
            target test accuracy.

    Returns:
        `selected_step`, and every value of that evaluation as `selected_<name>`.
    """
    if selection == "last":
        step = max(evaluations)
    else:
        score = TARGET_ACCURACY if selection == "target_oracle" else selection
        step = max(evaluations, key=lambda step: (evaluations[step][score], step))
    return {SELECTED_STEP: step} | {f"{SELECTED}{name}": value for name, value in evaluations[step].items()}
