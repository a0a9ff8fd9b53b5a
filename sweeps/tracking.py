"""A study in MLflow: study -> trial -> seed as parent -> child -> grandchild. One way: nothing is read back."""

from typing import TYPE_CHECKING

import optuna
from optuna.trial import TrialState

from experiments import record
from experiments.tracking import Destination, Unreachable, ensure_experiment, ensure_parent
from sweeps.sweep import Sweep

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Reported after the workers have ended: a trial that still runs was interrupted.
STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.FAIL: "FAILED", TrialState.RUNNING: "KILLED"}


def destination_of(sweep: Sweep, trial: int) -> Destination:
    """Where the runs of a trial belong."""
    return Destination(f"sweep_{sweep.name}", (sweep.name, f"trial {trial}"))


def report_study(client: "MlflowClient", sweep: Sweep, study: optuna.Study, status: str) -> None:
    """Write every trial's parameters and value, the best, and the study's status to the runs that stand for them."""
    try:
        experiment_id = ensure_experiment(client, f"sweep_{sweep.name}")
        above = ensure_parent(client, experiment_id, (sweep.name,), None)
        client.set_tag(above, record.SELECTION, sweep.objective)
        for trial in study.get_trials(deepcopy=False, states=tuple(STATUS)):
            run_id = ensure_parent(client, experiment_id, (sweep.name, f"trial {trial.number}"), above)
            if client.get_run(run_id).info.status == STATUS[trial.state]:
                continue
            for name, value in trial.params.items():
                client.log_param(run_id, name, value)
            if trial.value is not None:
                client.log_metric(run_id, "objective", trial.value)
            for name in (record.SELECTED_SOURCE_ACCURACY, record.SELECTED_TARGET_ACCURACY):
                if name in trial.user_attrs:
                    client.log_metric(run_id, name, trial.user_attrs[name])
            client.set_terminated(run_id, STATUS[trial.state])
        if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            client.set_tag(above, "best", f"trial {study.best_trial.number}: {study.best_trial.user_attrs['schedule']}")
            client.log_metric(above, "objective", study.best_value)
        client.set_terminated(above, status)
    except Exception as error:
        raise Unreachable(f"MLflow store {record.tracking_uri()} did not take the study: {error}") from error


def attach_figure(client: "MlflowClient", sweep: Sweep, path: str) -> None:
    """Keep the sweep's figure with its study."""
    try:
        experiment_id = ensure_experiment(client, f"sweep_{sweep.name}")
        client.log_artifact(ensure_parent(client, experiment_id, (sweep.name,), None), path, "figures")
    except Exception as error:
        raise Unreachable(f"MLflow store {record.tracking_uri()} did not take {path}: {error}") from error
