"""Recorded runs out of the MLflow store: one row a run, one table of curves."""

import logging
import os
import sqlite3
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments import record
from experiments.errors import BadInput, unknown

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class RecordedRuns:
    """The finished runs of one MLflow experiment, and a count of the others."""

    name: str
    experiment_id: str
    runs: pd.DataFrame
    """Indexed by run id; columns `start`, `end` (timestamps), `param.<name>`, `metric.<name>` and `tag.<name>`."""
    left_out: dict[str, int]
    """How many runs are not in `runs`, by reason."""


def open_store() -> "MlflowClient":
    """Connect to the tracking store; unlike a training, reading never creates one.

    Raises:
        BadInput: with the address and the reason.
    """
    uri = record.tracking_uri()
    if uri.startswith("sqlite:///"):
        _check_sqlite(Path(uri.removeprefix("sqlite:///")))
    # A server that is away must cost seconds, not the minutes of MLflow's default retries.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside MLflow's own imports are not the user's business
            from mlflow import MlflowClient
        # After the import, which sets its own levels.
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    except Exception as error:
        raise BadInput(f"MLflow store {uri} cannot be reached: {first_line(error)}") from None
    return client


def list_experiments(client: "MlflowClient") -> pd.DataFrame:
    """What can be built: columns name, runs, finished, last (end of the newest finished run), sorted by name."""
    rows = []
    for experiment in client.search_experiments():
        runs = _search(client, experiment.experiment_id)
        finished = [run for run in runs if run.info.status == "FINISHED"]
        if runs:
            last = max((_timestamp(run.info.end_time) for run in finished), default=pd.NaT)
            rows.append((experiment.name, len(runs), len(finished), last))
    table = pd.DataFrame(rows, columns=["name", "runs", "finished", "last"])
    return table.sort_values("name", ignore_index=True)


def read_runs(client: "MlflowClient", name: str) -> RecordedRuns:
    """The finished runs of the MLflow experiment `name`, each experiment hash once (the newest).

    Raises:
        BadInput: no such experiment (with the nearest name), or no finished run in it.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        names = list(list_experiments(client)["name"])
        if not names:
            raise BadInput(f"nothing to build {name!r} from: {record.tracking_uri()} holds no run yet; try: make demo")
        raise unknown("experiment", name, names)
    runs = _search(client, experiment.experiment_id)
    left_out = Counter(run.info.status.lower() for run in runs if run.info.status != "FINISHED")
    newest: dict[str, Run] = {}
    for run in runs:  # oldest first
        if run.info.status == "FINISHED":
            newest[run.data.tags.get(record.HASH, run.info.run_id)] = run
    repeated = len(runs) - left_out.total() - len(newest)
    others = dict(left_out) | ({"repeated": repeated} if repeated else {})
    if not newest:
        others_in_words = ", ".join(f"{count} {status}" for status, count in others.items()) or "no run at all"
        raise BadInput(f"nothing to build {name!r} from: no finished run ({others_in_words})")
    rows = {run.info.run_id: _row(run) for run in newest.values()}
    return RecordedRuns(name, experiment.experiment_id, pd.DataFrame.from_dict(rows, orient="index"), others)


def read_curves(client: "MlflowClient", run_ids: list[str]) -> pd.DataFrame:
    """The curves of the runs that have delivered them: columns run_id, step, metric, value."""
    parts = []
    for run_id in run_ids:
        path = _download(client, run_id, record.CURVES)
        if path is not None:
            parts.append(pd.read_parquet(path).assign(run_id=run_id))
    columns = ["run_id", "step", "metric", "value"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def read_features(client: "MlflowClient", run_id: str) -> dict[str, np.ndarray] | None:
    """The run's sample of test features: features (N, D), labels (N,), domain_labels (N,); None if there is none."""
    path = _download(client, run_id, record.FEATURES)
    if path is None:
        return None
    with np.load(path) as arrays:
        return {name: arrays[name] for name in ("features", "labels", "domain_labels")}


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def _check_sqlite(path: Path) -> None:
    # MLflow would create a missing file, and try for minutes to open a broken one.
    if not path.exists():
        raise BadInput(f"no runs recorded yet: {path} does not exist; make the first ones with: make demo")
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise BadInput(f"MLflow store {path} cannot be read: {error}") from None


def _search(client: "MlflowClient", experiment_id: str) -> "list[Run]":
    found, token = [], None
    while True:
        page = client.search_runs(
            [experiment_id], f"tags.{record.KIND} = 'run'", order_by=["start_time ASC"], page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found


def _row(run: "Run") -> dict[str, object]:
    row: dict[str, object] = {"start": _timestamp(run.info.start_time), "end": _timestamp(run.info.end_time)}
    for kind, values in (("param", run.data.params), ("metric", run.data.metrics), ("tag", run.data.tags)):
        row |= {f"{kind}.{name}": value for name, value in values.items()}
    return row


def _timestamp(time_ms: int) -> pd.Timestamp:
    return pd.Timestamp(time_ms, unit="ms", tz="UTC")


def _download(client: "MlflowClient", run_id: str, name: str) -> Path | None:
    if not any(file.path == name for file in client.list_artifacts(run_id)):
        return None
    return Path(client.download_artifacts(run_id, name))
