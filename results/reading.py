"""Recorded runs out of the MLflow store: one row a run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from experiments.errors import BadInput, unknown
from experiments.record import names, sqlite
from experiments.record.store import answering, find_experiment
from results.provenance import PROVENANCE, read_provenance

if TYPE_CHECKING:
    from mlflow import MlflowClient

FINISHED = "finished"
_ENDED = (FINISHED, "failed", "killed")


@dataclass(frozen=True)
class RecordedRuns:
    """The runs of MLflow experiments that have come to an end, and a count of the others."""

    runs: pd.DataFrame
    """Indexed by run id; columns `experiment_id`, `status` (finished, failed or killed), `artifacts` (their address),
    `start`, `end` (timestamps), those of `read_provenance`, `param.<name>`, `metric.<name>` and `tag.<name>`."""
    left_out: dict[str, int]
    """How many runs are not in `runs`, by reason."""
    absent: list[str] = field(default_factory=list)
    """The experiments that hold no run."""


def list_experiments(client: "MlflowClient") -> pd.DataFrame:
    """What can be built: columns name, runs, finished, last (end of the newest finished run), sorted by name."""
    rows = []
    with answering("the MLflow store does not list its experiments"):
        experiments = client.search_experiments()
    for experiment in experiments:
        runs = search(client, [experiment.experiment_id])
        ends = [run["end"] for run in runs if run["status"] == FINISHED]
        if runs:
            rows.append((experiment.name, len(runs), len(ends), max(ends, default=pd.NaT)))
    table = pd.DataFrame(rows, columns=["name", "runs", "finished", "last"])
    return table.sort_values("name", ignore_index=True)


def read_runs(client: "MlflowClient", *wanted: str, where: Sequence[str] = ()) -> RecordedRuns:
    """The ended runs of the MLflow experiments `wanted`; of runs with equal parameters and provenance the newest.

    A run that failed and was finished later is a finished run, and one that was sent to two experiments is one.

    Args:
        client: of the store.
        wanted: names of MLflow experiments.
        where: PARAMETER=VALUE, of which the runs are; of several values of one parameter, any.

    Raises:
        BadInput: no such experiment (with the nearest name), parameter or value, or no finished run in any.
        Unreachable: the store failed, or a person has deleted an experiment there.
    """
    name = " ".join(wanted)
    with answering(f"the MLflow store does not answer for {name!r}"):
        experiments = [find_experiment(client, each) for each in wanted]
    if not any(experiments):
        known = list(list_experiments(client)["name"])
        if not known:
            raise BadInput(f"nothing to build {name!r} from: {names.shown_uri()} holds no run yet; try: make demo")
        if len(wanted) > 1:
            raise BadInput(f"nothing to build from: no run of {', '.join(wanted)} is recorded")
        raise unknown("experiment", name, known)
    recorded = search(client, [experiment.experiment_id for experiment in experiments if experiment])
    found = _keep(recorded, where)
    counts = Counter(run["status"] for run in found)
    left_out = {status: count for status, count in counts.items() if status not in _ENDED}
    if not counts[FINISHED]:
        states = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "no run at all"
        raise BadInput(f"nothing to build {name!r} from: no finished run ({states})")
    runs = pd.DataFrame([run for run in found if run["status"] in _ENDED]).set_index("run_id").rename_axis(None)
    if (hashed := f"tag.{names.HASH}") in runs:  # sent to two experiments
        runs = runs[runs[hashed].isna() | ~runs.duplicated([hashed, "start", "end", "status"])]
    runs = runs.join(read_provenance(runs))
    # The oldest came first: sorted by status, the newest finished run of each kind is its last.
    runs = runs.iloc[(runs["status"] == FINISHED).argsort(kind="stable")]
    same = [column for column in runs if str(column).startswith("param.")] + list(PROVENANCE)
    superseded = runs.duplicated(subset=same, keep="last")
    repeated = int((superseded & (runs["status"] == FINISHED)).sum())
    others = f"other than {' '.join(where)}"
    reasons = {**dict(sorted(left_out.items())), "repeated": repeated, others: len(recorded) - len(found)}
    with_runs = {run["experiment_id"] for run in recorded}
    absent = [
        each
        for each, experiment in zip(wanted, experiments, strict=True)
        if not experiment or experiment.experiment_id not in with_runs
    ]
    return RecordedRuns(runs[~superseded], {reason: count for reason, count in reasons.items() if count}, absent)


def _keep(runs: list[dict[str, Any]], where: Sequence[str]) -> list[dict[str, Any]]:
    asked: dict[str, list[str]] = {}
    for word in where:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise BadInput(f"where must be PARAMETER=VALUE, such as method=dann, got {word!r}")
        asked.setdefault(name, []).append(value)
    for name, values in asked.items():
        known = {run[column] for run in runs if (column := f"param.{name}") in run}
        if not known:
            raise unknown("parameter", name, {key[len("param.") :] for run in runs for key in run if "param." in key})
        for value in values:
            if value not in known:
                raise unknown(f"{name} of these runs", value, known)
    return [run for run in runs if all(run.get(f"param.{name}") in values for name, values in asked.items())]


def search(client: "MlflowClient", experiment_ids: list[str], kind: str = "run") -> list[dict[str, Any]]:
    """The runs of a kind, the oldest first, one row a run: run_id, and the columns of `RecordedRuns.runs`.

    Raises:
        Unreachable: the store failed.
    """
    with answering("the MLflow store does not list its runs"):
        found = sqlite.read_runs(experiment_ids, kind)
        return list(map(_flatten, _page(client, experiment_ids, kind) if found is None else found))


def _page(client: "MlflowClient", experiment_ids: list[str], kind: str) -> Iterator[dict[str, Any]]:
    # As `sqlite.read_runs`, from any store, page by page: MLflow's own objects are ten times as large.
    token = None
    while True:
        page = client.search_runs(
            experiment_ids, f"tags.{names.KIND} = '{kind}'", order_by=["start_time ASC"], page_token=token
        )
        for run in page:
            parts = {"params": run.data.params, "metrics": run.data.metrics, "tags": run.data.tags}
            yield dict(run.info) | parts
        token = page.token
        if not token:
            return


def _flatten(run: dict[str, Any]) -> dict[str, Any]:
    row = {"run_id": run["run_id"], "experiment_id": run["experiment_id"]}
    row |= {"status": run["status"].lower(), "artifacts": run["artifact_uri"]}
    row |= {"start": _timestamp(run["start_time"]), "end": _timestamp(run["end_time"])}
    for part in ("params", "metrics", "tags"):
        row |= {f"{part.removesuffix('s')}.{name}": value for name, value in run[part].items()}
    return row


def _timestamp(time_ms: int | None) -> pd.Timestamp:
    return pd.Timestamp(time_ms or 0, unit="ms", tz="UTC")
