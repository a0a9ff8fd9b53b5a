"""A study in MLflow: study -> trial -> seed as parent -> child -> grandchild. One way: nothing is read back."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.trial import TrialState

from experiments.record import names
from experiments.record.delivery import ensure_experiment, ensure_parent
from experiments.record.store import answering
from sweeps.study import FAILURE, SHOWN, destination_of, suggested
from sweeps.sweep import Sweep

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Reported after the work has ended: a trial that still runs was interrupted.
STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.FAIL: "FAILED", TrialState.RUNNING: "KILLED"}
OBJECTIVE = "objective"


def report_study(
    client: "MlflowClient", sweep: Sweep, study: optuna.Study, status: str, figures: Sequence[Path] = ()
) -> None:
    """Write every trial's settings and value, the best, the figures and the study's status to the runs that stand for
    them. The columns of a trial are those of its seeds: the parameters of the experiment, and the metrics.

    Raises:
        Unreachable: the store did not take it.
    """
    from mlflow.entities import Metric, Param, RunTag

    with answering(f"MLflow store {names.shown_uri()} did not take the study {sweep.study_name}"):
        experiment_id = ensure_experiment(client, f"sweep_{sweep.name}")
        above = ensure_parent(client, experiment_id, (sweep.study_name,), None)
        for trial in study.get_trials(deepcopy=False, states=tuple(STATUS)):
            path = destination_of(sweep, trial.number).parents
            run_id = ensure_parent(client, experiment_id, path, above)
            if client.get_run(run_id).info.status == STATUS[trial.state]:
                continue
            params = {name: value for name, value in suggested(sweep, trial).flat().items() if name != "seed"}
            tags = {"mlflow.runName": f"{trial.user_attrs[SHOWN]} (trial {trial.number})"}
            tags |= {"message": trial.user_attrs[FAILURE]} if FAILURE in trial.user_attrs else {}
            numbers = {name: trial.user_attrs.get(name) for name in (names.SOURCE_ACCURACY, names.TARGET_ACCURACY)}
            numbers[OBJECTIVE] = trial.value if trial.state == TrialState.COMPLETE else None
            client.log_batch(
                run_id,
                [Metric(name, value, 0, 0) for name, value in numbers.items() if value is not None],
                [Param(name, value) for name, value in params.items()],
                [RunTag(name, value) for name, value in tags.items()],
            )
            client.set_terminated(run_id, STATUS[trial.state])
        client.set_tag(above, "mlflow.note.content", describe(sweep, study))
        client.set_tag(above, names.SELECTION, sweep.search.objective)
        if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            client.set_tag(above, "best", f"trial {study.best_trial.number}: {study.best_trial.user_attrs[SHOWN]}")
            client.log_metric(above, OBJECTIVE, study.best_value)
        for figure in figures:
            client.log_artifact(above, str(figure), "figures")
        client.set_terminated(above, status)


def describe(sweep: Sweep, study: optuna.Study) -> str:
    """The study's note in Markdown."""
    labels = "**uses target labels**" if sweep.search.sees_target_labels else "no target label is used"
    done = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    return "\n".join(
        [
            f"# {sweep.study_name}",
            f"- recipe: `{sweep.recipe.title}`",
            f"- objective: mean {sweep.search.objective} of {sweep.search.seeds} seeds at the last step; {labels}",
            f"- sampler: {sweep.search.sampler}; {done} of {sweep.search.trials} trials complete",
            f"- `python -m sweeps show {sweep.name}`",
        ]
    )
