"""The files that a run left in MLflow: its curves and what its evaluations saw."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd

from experiments.record import names
from experiments.record.store import Unreachable, answering

COLUMNS = ["run_id", "step", "metric", "value"]


def read_curves(addresses: Mapping[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """The curves of all runs that have them.

    Args:
        addresses: run id -> address of its artifacts.

    Returns:
        Columns run_id, step, metric, value; and one line for each run whose curves are missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables, counts, problems = [], {}, []
    for run_id, address in addresses.items():
        try:
            path = fetch(run_id, address, names.CURVES)
            with answering(f"{names.CURVES} of run {run_id} cannot be read"):
                # Without pandas, whose own reader takes several times as long for so small a file.
                table = pq.ParquetFile(path).read(COLUMNS[1:])
        except Unreachable as error:
            problems.append(str(error))
        else:
            tables.append(table)
            counts[run_id] = table.num_rows
    if not tables:
        return pd.DataFrame(columns=COLUMNS), problems
    curves = pa.concat_tables(tables).to_pandas()
    curves.insert(0, "run_id", np.repeat(list(counts), list(counts.values())))
    return curves, problems


def read_evaluations(run_id: str, address: str) -> dict[str, np.ndarray]:
    """What validators read at each evaluation of a run: the arrays of `record.names`, E evaluations in each.

    Raises:
        Unreachable: there are none, or they are damaged.
    """
    path = fetch(run_id, address, names.EVALUATIONS)
    with answering(f"{names.EVALUATIONS} of run {run_id} cannot be read"), np.load(path) as arrays:
        return dict(arrays)


def fetch(run_id: str, address: str, name: str) -> Path:
    """Where a file of a run lies on this machine; from a store elsewhere it is downloaded first.

    Raises:
        Unreachable: there is none, or the store does not give it.
    """
    if address.startswith(("file:", "/")):
        # Where it lies is known: MLflow's own client would list the folder and copy, ten times as slowly.
        path = Path(url2pathname(urlsplit(address).path) if address.startswith("file:") else address) / name
        if not path.exists():
            raise Unreachable(f"run {run_id} has no {name} in MLflow")
        return path
    from mlflow.artifacts import download_artifacts

    with answering(f"run {run_id} has no {name} in MLflow"):
        return Path(download_artifacts(artifact_uri=f"{address}/{name}", tracking_uri=names.tracking_uri()))
