"""Tables and figures back into MLflow, beside the runs they were made of."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from experiments.record import names
from results.drawing.base import to_png
from results.drawing.run_curves import draw_run
from results.words import title_method, title_pair

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_FIGURE = "figures/curves.png"
LONGEST_TEXT = 8000  # MLflow cuts a longer description in the middle of a line


def deliver_report(client: "MlflowClient", experiment_id: str, files: Iterable[Path], text: str, command: str) -> str:
    """Keep `files` and `text` in the experiment's one run of kind "report", made at the first call, then overwritten.

    Args:
        client: the tracking store.
        experiment_id: where the report belongs.
        files: tables and figures.
        text: Markdown, shown in the MLflow UI as the description of the run.
        command: how the report was built.

    Returns:
        The id of the run.
    """
    found = client.search_runs([experiment_id], f"tags.{names.KIND} = 'report'", max_results=1)
    report = found[0] if found else client.create_run(experiment_id, run_name="report", tags={names.KIND: "report"})
    run_id = report.info.run_id
    client.set_tag(run_id, names.COMMAND, command)
    if len(text) > LONGEST_TEXT:
        text = "Too long to be shown here: see `tables/` among the artifacts."
    client.set_tag(run_id, names.NOTE, text)
    for path in files:
        client.log_artifact(run_id, str(path), "figures" if path.suffix == ".png" else "tables")
    client.set_terminated(run_id)
    return run_id


def deliver_run_figures(client: "MlflowClient", runs: pd.DataFrame, curves: pd.DataFrame) -> int:
    """Give each run that has none a figure of its own curves.

    Args:
        client: the tracking store.
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
            run = runs.loc[[str(run_id)]].to_dict("records")[0]
            pair = title_pair(run[f"tag.{names.PAIR_TITLE}"], run["recipe"])
            title = f"{pair}, {title_method(run['method'], run['variant'])}, seed {run['seed']}"
            path.write_bytes(to_png(draw_run(of_run, title), dpi=100))
            client.log_artifact(str(run_id), str(path), folder)
            made += 1
    return made
