"""The files that a run left in MLflow: its curves and a sample of its features."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments import record
from experiments.errors import BadInput
from results.store import answering

if TYPE_CHECKING:
    from mlflow import MlflowClient


def read_curves(client: "MlflowClient", run_ids: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """The curves of all runs that have them.

    Returns:
        Columns run_id, step, metric, value; and one line for each run whose curves are missing or damaged.
    """
    parts, problems = [pd.DataFrame(columns=["run_id", "step", "metric", "value"])], []
    for run_id in run_ids:
        try:
            with answering(f"{record.CURVES} of run {run_id} cannot be read"):
                parts.append(pd.read_parquet(_download(client, run_id, record.CURVES)).assign(run_id=run_id))
        except BadInput as error:
            problems.append(str(error))
    return pd.concat(parts[1:] or parts, ignore_index=True), problems


def read_features(client: "MlflowClient", run_id: str) -> dict[str, np.ndarray]:
    """The run's sample of test features: features (N, D), labels (N,), domain_labels (N,).

    Raises:
        BadInput: there is none, or it is damaged.
    """
    with answering(f"{record.FEATURES} of run {run_id} cannot be read"):
        with np.load(_download(client, run_id, record.FEATURES)) as arrays:
            return {name: arrays[name] for name in ("features", "labels", "domain_labels")}


def _download(client: "MlflowClient", run_id: str, name: str) -> Path:
    if not any(file.path == name for file in client.list_artifacts(run_id)):
        raise BadInput(f"run {run_id} has no {name} in MLflow")
    return Path(client.download_artifacts(run_id, name))
