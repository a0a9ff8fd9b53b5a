"""A study in MLflow: study -> trial -> seed as parent -> child -> grandchild. One way: nothing is read back."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial, TrialState

from experiments.record import names
from experiments.record.delivery import ensure_experiment, ensure_parent
from experiments.record.sqlite import write_run
from experiments.record.store import answering
from experiments.record.views import describe_trials_view
from experiments.record.whole import Whole
from experiments.saying import round_number
from experiments.work.environment import launched_as
from sweeps.study import FAILURE, RUNS, SHOWN, completed, destination_of, suggested
from sweeps.sweep import Sweep

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# MLflow knows no PRUNED: the tag tells it from what was interrupted. Reported after the work has ended: a trial that
# still runs was interrupted.
STATUS = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.FAIL: "FAILED",
    TrialState.PRUNED: "KILLED",
    TrialState.RUNNING: "KILLED",
}
SHOWN_STATE = {TrialState.RUNNING: "INTERRUPTED"}


def report_study(
    client: "MlflowClient", sweep: Sweep, study: optuna.Study, status: str, figures: Sequence[Path] = ()
) -> None:
    """Write every trial's settings and scores, the best, the figures and the study's status to the runs that stand for
    them. The columns of a trial are those of its seeds: the parameters of the experiment, and the means of its scores.

    Raises:
        Unreachable: the store did not take it.
    """
    with answering(f"MLflow store {names.shown_uri()} did not take the study {sweep.study_name}"):
        experiment_id = ensure_experiment(client, f"sweep_{sweep.name}")
        client.set_experiment_tag(experiment_id, names.NOTE, describe_experiment(sweep))
        client.set_experiment_tag(experiment_id, *describe_trials_view(sweep.search.curve))
        above = ensure_parent(client, experiment_id, (sweep.study_name,), None)
        known = _list_trials(client, experiment_id, above)
        for trial in study.get_trials(deepcopy=False, states=tuple(STATUS)):
            path = destination_of(sweep, trial.number).parents
            there = known.get("/".join(path))
            if there and _is_same(there, trial):
                continue
            run_id = there.info.run_id if there else ensure_parent(client, experiment_id, path, above)
            _write_trial(client, experiment_id, above, run_id, _describe_trial(sweep, trial))
        client.set_tag(above, names.NOTE, describe(sweep, study))
        client.set_tag(above, names.SELECTION, sweep.search.objective)
        if completed(study):
            client.set_tag(above, "best", f"trial {study.best_trial.number}: {study.best_trial.user_attrs[SHOWN]}")
            for name, value in scores_of(study.best_trial).items():
                client.log_metric(above, name, value)
        for figure in figures:
            client.log_artifact(above, str(figure), "figures")
        client.set_terminated(above, status)


def keep_report(client: "MlflowClient", sweep: Sweep, files: Sequence[Path]) -> None:
    """Put the files of a report beside the figures of the study.

    Raises:
        Unreachable: the store did not take them.
    """
    with answering(f"MLflow store {names.shown_uri()} did not take the report of {sweep.study_name}"):
        experiment_id = ensure_experiment(client, f"sweep_{sweep.name}")
        above = ensure_parent(client, experiment_id, (sweep.study_name,), None)
        for path in files:
            client.log_artifact(above, str(path), "report")


def _list_trials(client: "MlflowClient", experiment_id: str, above: str) -> "dict[str, Run]":
    # What MLflow has of the study's trials, by their paths.
    found, token = [], None
    while True:
        wanted = f"tags.`mlflow.parentRunId` = '{above}'"
        page = client.search_runs([experiment_id], wanted, max_results=1000, page_token=token)
        found += page
        if not (token := page.token):
            return {run.data.tags.get(names.PATH, ""): run for run in found}


def _is_same(run: "Run", trial: FrozenTrial) -> bool:
    state = SHOWN_STATE.get(trial.state, trial.state.name)
    return run.info.status == STATUS[trial.state] and run.data.tags.get(names.STATE) == state


def _describe_trial(sweep: Sweep, trial: FrozenTrial) -> Whole:
    tags = {
        names.KIND: "trial",
        names.PATH: "/".join(destination_of(sweep, trial.number).parents),
        names.COMMAND: launched_as(),
        names.STATE: SHOWN_STATE.get(trial.state, trial.state.name),
        names.NOTE: describe_trial(sweep, trial),
    }
    tags |= {"message": trial.user_attrs[FAILURE]} if FAILURE in trial.user_attrs else {}
    ended = trial.datetime_complete or trial.datetime_start
    begun_ms, ended_ms = (int(at.timestamp() * 1000) if at else 0 for at in (trial.datetime_start, ended))
    return Whole(
        hash="",
        title=name_trial(trial),
        status=STATUS[trial.state],
        started_ms=begun_ms,
        ended_ms=ended_ms,
        params={name: value for name, value in suggested(sweep, trial).flat().items() if name != "seed"},
        tags=tags,
        points=[],
        metrics=scores_of(trial),
        datasets=[],
        files=[],
    )


def _write_trial(client: "MlflowClient", experiment_id: str, above: str, run_id: str, whole: Whole) -> None:
    from mlflow.entities import Metric, Param, RunTag

    if write_run(experiment_id, above, whole, run_id):
        return
    client.log_batch(
        run_id,
        [Metric(name, value, whole.ended_ms, 0) for name, value in whole.metrics.items()],
        [Param(name, value) for name, value in whole.params.items()],
        [RunTag(name, value) for name, value in (whole.tags | {"mlflow.runName": whole.title}).items()],
    )
    client.set_terminated(run_id, whole.status, whole.ended_ms)


def scores_of(trial: FrozenTrial) -> dict[str, float]:
    """The means over a complete trial's seeds of what their last evaluations measured, by the names of their curves."""
    if trial.state != TrialState.COMPLETE:
        return {}
    return {name: value for name, value in trial.user_attrs.items() if isinstance(value, float)}


def name_trial(trial: FrozenTrial) -> str:
    """What differs from the other trials first: MLflow's list shows about twenty characters."""
    words = [
        value if isinstance(value, str) else f"{name.rpartition('.')[2]} {round_number(str(value))}"
        for name, value in trial.params.items()
    ]
    return f"{' '.join(words)} (trial {trial.number})"


def describe_trial(sweep: Sweep, trial: FrozenTrial) -> str:
    """A trial's note in Markdown."""
    lines = [f"**{trial.user_attrs.get(SHOWN, '')}**, on `{sweep.recipe.pair}`", ""]
    if trial.value is not None and trial.state == TrialState.COMPLETE:
        lines.append(f"- {sweep.search.objective}: {trial.value:.4f}, mean of {sweep.search.seeds} seeds")
    lines += [f"- {trial.user_attrs[FAILURE]}"] if FAILURE in trial.user_attrs else []
    lines += [f"- runs: {', '.join(f'`{name}`' for name in trial.user_attrs.get(RUNS, ()))}"]
    lines += [f"- again, bit by bit: `{sweep.command('replay')} --trial {trial.number}`"]
    return "\n".join(lines)


def describe_experiment(sweep: Sweep) -> str:
    """The MLflow experiment's note in Markdown."""
    return "\n".join(
        [
            f"Studies of sweep **{sweep.name}**: study → trial → seed. A trial's numbers are means over its seeds, in "
            "the same columns as theirs.",
            "",
            f"- *Views*, *trials*: by `{sweep.search.curve}`, which is searched, beside `target_accuracy`; "
            "the chart symbol, *Add chart*, *Parallel coordinates* sets settings beside both",
            "- those given up: search `tags.state = 'PRUNED'`",
            f"- `{sweep.command('report')}`",
        ]
    )


def describe(sweep: Sweep, study: optuna.Study) -> str:
    """The study's note in Markdown."""
    labels = "**uses target labels**" if sweep.search.sees_target_labels else "no target label is used"
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    counts = ", ".join(
        f"{states.count(state)} {word}"
        for state, word in ((TrialState.PRUNED, "pruned"), (TrialState.FAIL, "failed"))
        if state in states
    )
    done = f"{states.count(TrialState.COMPLETE)} of {sweep.search.trials} trials complete"
    return "\n".join(
        [
            f"# {sweep.study_name}",
            f"- recipe: `{sweep.recipe.title}`",
            f"- objective: mean {sweep.search.objective} of {sweep.search.seeds} seeds at the last step; {labels}",
            f"- sampler: {sweep.search.sampler}, pruner: {sweep.search.pruner}; {done}{', ' * bool(counts)}{counts}",
            f"- `{sweep.command('show')}`",
        ]
    )
