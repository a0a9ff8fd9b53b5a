"""Recorded runs out of the MLflow store: one row a run."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from experiments import record
from experiments.errors import BadInput, unknown
from results.store import answering

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class RecordedRuns:
    """The finished runs of one MLflow experiment, and a count of the others."""

    experiment_id: str
    runs: pd.DataFrame
    """Indexed by run id; columns `start`, `end` (timestamps), `param.<name>`, `metric.<name>` and `tag.<name>`."""
    left_out: dict[str, int]
    """How many runs are not in `runs`, by reason."""


def list_experiments(client: "MlflowClient") -> pd.DataFrame:
    """What can be built: columns name, runs, finished, last (end of the newest finished run), sorted by name."""
    rows = []
    with answering("the MLflow store does not list its experiments"):
        experiments = client.search_experiments()
    for experiment in experiments:
        runs = _search(client, experiment.experiment_id)
        ends = [_timestamp(run.info.end_time) for run in runs if _finished(run)]
        if runs:
            rows.append((experiment.name, len(runs), len(ends), max(ends, default=pd.NaT)))
    table = pd.DataFrame(rows, columns=["name", "runs", "finished", "last"])
    return table.sort_values("name", ignore_index=True)


def read_runs(client: "MlflowClient", name: str) -> RecordedRuns:
    """The finished runs of the MLflow experiment `name`; of runs with equal parameters the newest.

    Raises:
        BadInput: no such experiment (with the nearest name), or no finished run in it.
    """
    with answering(f"the MLflow store does not answer for {name!r}"):
        experiment = client.get_experiment_by_name(name)
    if experiment is None:
        names = list(list_experiments(client)["name"])
        if not names:
            raise BadInput(f"nothing to build {name!r} from: {record.tracking_uri()} holds no run yet; try: make demo")
        raise unknown("experiment", name, names)
    found = _search(client, experiment.experiment_id)
    left_out = Counter(run.info.status.lower() for run in found if not _finished(run))
    newest = {frozenset(run.data.params.items()): run for run in found if _finished(run)}  # the oldest came first
    repeated = len(found) - left_out.total() - len(newest)
    reasons = dict(sorted(left_out.items())) | ({"repeated": repeated} if repeated else {})
    if not newest:
        others = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "no run at all"
        raise BadInput(f"nothing to build {name!r} from: no finished run ({others})")
    rows = {run.info.run_id: _row(run) for run in newest.values()}
    return RecordedRuns(experiment.experiment_id, pd.DataFrame.from_dict(rows, orient="index"), reasons)


def _search(client: "MlflowClient", experiment_id: str) -> "list[Run]":
    found: list[Run] = []
    token = None
    with answering("the MLflow store does not list its runs"):
        while True:
            page = client.search_runs(
                [experiment_id], f"tags.{record.KIND} = 'run'", order_by=["start_time ASC"], page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found


def _finished(run: "Run") -> bool:
    return run.info.status == "FINISHED"


def _row(run: "Run") -> dict[str, object]:
    row: dict[str, object] = {"start": _timestamp(run.info.start_time), "end": _timestamp(run.info.end_time)}
    for kind, values in (("param", run.data.params), ("metric", run.data.metrics), ("tag", run.data.tags)):
        row |= {f"{kind}.{name}": value for name, value in values.items()}
    return row


def _timestamp(time_ms: int | None) -> pd.Timestamp:
    return pd.Timestamp(time_ms or 0, unit="ms", tz="UTC")
