"""Which step of each run is reported, and all numbers of that step: chosen on the record, without training again."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from experiments.errors import BadInput
from experiments.record import names
from experiments.record.store import Unreachable
from experiments.validators import LAST, TARGET_ORACLE, find_validator, proxy_a_distance, select

NUMBERS = (names.TARGET_ACCURACY, names.SOURCE_ACCURACY, names.DOMAIN_LOSS, names.PROXY_A_DISTANCE)
PER_STEP = (names.TARGET_LOGITS, names.SOURCE_LOGITS, names.FEATURES)

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
        The rows with columns selection, step and those of `NUMBERS`, NaN where a run lacks what the selection needs;
        and one line for each such run.

    Raises:
        BadInput: an unknown selection, or no run has what it needs.
    """
    if selection == LAST:
        return report_last(runs), []
    if selection != TARGET_ORACLE:
        find_validator(selection)  # unknown names are said once, not once a run
    by_run = {str(run_id): points for run_id, points in curves.groupby("run_id")}
    last = report_last(runs)
    rows: dict[str, dict[str, float]] = {}
    problems = []
    for run_id in map(str, runs.index):
        try:
            rows[run_id] = _report(run_id, selection, by_run.get(run_id), read, last)
        except (BadInput, Unreachable) as error:
            problems.append(f"run {run_id}: {error}")
    if problems and not rows:
        raise BadInput(f"no run can be reported by selection {selection}: {problems[0]}")
    chosen = pd.DataFrame.from_dict(rows, orient="index", columns=["step", *NUMBERS]).reindex(runs.index)
    return runs.assign(selection=selection).join(chosen), problems


def _report(
    run_id: str, selection: str, points: pd.DataFrame | None, read: ReadEvaluations, last: pd.DataFrame
) -> dict[str, float]:
    if points is None:
        raise BadInput(f"it has no {names.CURVES}")
    by_step = points.pivot_table(index="step", columns="metric", values="value", aggfunc="last")
    evaluated = by_step.dropna(subset=[names.TARGET_ACCURACY])
    scores: dict[int, dict[str, float]] = {
        int(str(step)): {str(name): float(value) for name, value in values.dropna().items()}
        for step, values in evaluated.iterrows()
    }
    if selection != TARGET_ORACLE and find_validator(selection).curve not in by_step:
        _add_scores(scores, selection, read(run_id))
    step = select(scores, selection)
    if step == last["step"][run_id]:  # measured once already
        distance = float(last[names.PROXY_A_DISTANCE][run_id])
    else:
        seen = at_step(read(run_id), step)
        distance = proxy_a_distance(seen[names.FEATURES], seen[names.DOMAIN_LABELS])
    return {
        "step": step,
        **{name: scores[step].get(name, np.nan) for name in NUMBERS},
        names.PROXY_A_DISTANCE: distance,
    }


def _add_scores(scores: dict[int, dict[str, float]], selection: str, evaluations: Evaluations) -> None:
    # A validator that is younger than the run scores what the run left for it.
    validator = find_validator(selection)
    if missing := [name for name in validator.needs if name not in evaluations]:
        raise BadInput(f"selection {selection} needs {', '.join(missing)}, which was not recorded")
    for step in evaluations[names.STEPS]:
        seen = at_step(evaluations, int(step))
        scores[int(step)][validator.curve] = float(validator.score(*(seen[name] for name in validator.needs)))


def at_step(evaluations: Evaluations, step: int) -> dict[str, np.ndarray]:
    """The arrays of one evaluation: logits (n, C) and (m, C), features (k, D), and what is the same at every step.

    Raises:
        BadInput: there was no evaluation at this step.
    """
    [places] = np.nonzero(evaluations[names.STEPS] == step)
    if not len(places):
        raise BadInput(f"{names.EVALUATIONS} has no evaluation at step {step}")
    return {name: values[places[0]] if name in PER_STEP else values for name, values in evaluations.items()}
