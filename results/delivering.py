"""Tables and figures back into MLflow, beside the runs they were made of."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from experiments import record
from results.curves import draw_run
from results.figures import to_png

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_FIGURE = "figures/curves.png"
# MLflow cuts a longer description in the middle of a line.
_LONGEST_TEXT = 8000


def deliver_report(client: "MlflowClient", experiment_id: str, files: Iterable[Path], text: str, command: str) -> str:
    """Keep `files` and `text` in the experiment's one run of kind "report", made at the first call and overwritten ever after.

    Args:
        files: tables and figures; the name of a file's folder becomes its folder among the artifacts.
        text: Markdown, shown in the MLflow UI as the description of the run.
        command: how the report was built.

    Returns:
        The id of the run.
    """
    found = client.search_runs([experiment_id], f"tags.{record.KIND} = 'report'", max_results=1)
    if found:
        run_id = found[0].info.run_id
    else:
        run_id = client.create_run(experiment_id, run_name="report", tags={record.KIND: "report"}).info.run_id
    client.set_tag(run_id, record.COMMAND, command)
    if len(text) <= _LONGEST_TEXT:
        client.set_tag(run_id, "mlflow.note.content", text)
    for path in files:
        client.log_artifact(run_id, str(path), path.parent.name)
    client.set_terminated(run_id)
    return run_id


def deliver_run_figures(client: "MlflowClient", runs: pd.DataFrame, curves: pd.DataFrame) -> int:
    """Give each run that has none a figure of its own curves.

    Args:
        runs: one row a run, with the columns of `name_cells`.
        curves: columns run_id, step, metric, value.

    Returns:
        How many figures were made.
    """
    made = 0
    folder, name = RUN_FIGURE.split("/")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / name
        for run_id, of_run in curves.groupby("run_id"):
            if any(file.path == RUN_FIGURE for file in client.list_artifacts(str(run_id), folder)):
                continue
            run = runs.loc[run_id]
            title = f"{run[f'tag.{record.PAIR_TITLE}']}, {run['method']} {run['variant']} {run['recipe']}".rstrip()
            path.write_bytes(to_png(draw_run(of_run, f"{title}, seed {run['seed']}")))
            client.log_artifact(str(run_id), str(path), folder)
            made += 1
    return made
