"""Which step of each run is reported, and all numbers of that step: chosen on the record, without training again."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from experiments.errors import BadInput
from experiments.record import names
from experiments.record.store import Unreachable
from experiments.validators import LAST, TARGET_ORACLE, curve_of, proxy_a_distance, score_steps, select

NUMBERS = (names.TARGET_ACCURACY, names.SOURCE_ACCURACY, names.DOMAIN_LOSS, names.PROXY_A_DISTANCE)

Evaluations = Mapping[str, np.ndarray]
ReadEvaluations = Callable[[str], Evaluations]


def report_last(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with the step and the `NUMBERS` of their last evaluation, which MLflow's metrics are."""
    numbers = {name: runs.get(f"metric.{name}", np.nan) for name in NUMBERS}
    return runs.assign(selection=LAST, step=runs["param.steps"].astype(int), **numbers)


def report_selected(
    runs: pd.DataFrame, selection: str, curves: pd.DataFrame, read: ReadEvaluations
) -> tuple[pd.DataFrame, list[str]]:
    """The runs with the step that `selection` chooses and the `NUMBERS` of that step.

    Args:
        runs: one row a finished run, as `read_runs` returns them.
        selection: `last`, a validator, one of the user's own by import path, or `target_oracle`.
        curves: columns run_id, step, metric, value.
        read: the recorded evaluations of a run.

    Returns:
        The rows with columns selection, step and those of `NUMBERS`, NaN where a run lacks what the selection needs,
        the proxy A-distance alone where it has curves and no evaluations; and one line for each such run.

    Raises:
        BadInput: an unknown selection, or no run has what it needs.
    """
    if selection == LAST:
        return report_last(runs), []
    # Unknown names are said once, not once a run.
    curve = curve_of(selection)
    scores = read_scores(curves, curve)
    last = report_last(runs)
    rows: dict[str, dict[str, float]] = {}
    problems = []
    for run_id in map(str, runs.index):
        try:
            if run_id not in scores:
                raise BadInput(f"it has no evaluation in {names.CURVES}")
            by_target_labels = selection == TARGET_ORACLE
            if not by_target_labels and any(curve not in values for values in scores[run_id].values()):
                _add_scores(scores[run_id], selection, read(run_id))
            step = select(scores[run_id], selection)
            if step == last["step"][run_id]:  # measured once already
                distance = float(last[names.PROXY_A_DISTANCE][run_id])
            else:
                try:
                    seen = at_step(read(run_id), step)
                    distance = proxy_a_distance(seen[names.FEATURES], seen[names.DOMAIN_LABELS])
                except Unreachable as error:  # the curves tell all else of the step, which is not lost with it
                    distance = np.nan
                    problems.append(f"run {run_id}: no proxy A-distance: {error}")
            found = {name: scores[run_id][step].get(name, np.nan) for name in NUMBERS}
            if by_target_labels:  # of samples that did not choose
                found[names.TARGET_ACCURACY] = scores[run_id][step][names.TARGET_REST_ACCURACY]
            rows[run_id] = found | {"step": step, names.PROXY_A_DISTANCE: distance}
        except (BadInput, Unreachable) as error:
            problems.append(f"run {run_id}: {error}")
    if problems and not rows:
        raise BadInput(f"no run can be reported by selection {selection}: {problems[0]}")
    chosen = pd.DataFrame.from_dict(rows, orient="index", columns=["step", *NUMBERS]).reindex(runs.index)
    return runs.assign(selection=selection).join(chosen), problems


def read_scores(curves: pd.DataFrame, curve: str) -> dict[str, dict[int, dict[str, float]]]:
    """Run id -> step of an evaluation -> what was recorded there of `NUMBERS` and `curve`."""
    wanted = curves[curves["metric"].isin([*NUMBERS, names.TARGET_REST_ACCURACY, curve])]
    by_step = wanted.pivot_table(index=["run_id", "step"], columns="metric", values="value", aggfunc="last")
    scores: dict[str, dict[int, dict[str, float]]] = {}
    for place, values in zip(by_step.index, by_step.to_dict("records"), strict=True):
        found = {str(name): float(value) for name, value in values.items() if not np.isnan(value)}
        if names.TARGET_ACCURACY in found:  # the other points are of training batches
            run_id, step = place
            scores.setdefault(str(run_id), {})[int(step)] = found
    return scores


def _add_scores(scores: dict[int, dict[str, float]], selection: str, evaluations: Evaluations) -> None:
    # A validator that is younger than the run scores what the run left for it; so does one that compares evaluations.
    steps = {int(step): at_step(evaluations, int(step)) for step in evaluations[names.STEPS]}
    for step, score in score_steps(selection, steps).items():
        scores[step][curve_of(selection)] = score


def at_step(evaluations: Evaluations, step: int) -> dict[str, np.ndarray]:
    """The arrays of one evaluation: logits (n, C) and (m, C), features (k, D), and what is the same at every step.

    Raises:
        BadInput: there was no evaluation at this step.
    """
    [places] = np.nonzero(evaluations[names.STEPS] == step)
    if not len(places):
        raise BadInput(f"{names.EVALUATIONS} has no evaluation at step {step}")
    return {name: values[places[0]] if name in names.PER_STEP else values for name, values in evaluations.items()}
