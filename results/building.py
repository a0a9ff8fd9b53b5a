"""`build`: from the name of an MLflow experiment to its table, its figures and its report."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console

from experiments import record
from experiments.errors import BadInput
from results.artifacts import read_curves, read_features
from results.cells import name_cells, summarise
from results.curves import draw_curves
from results.delivering import deliver_report, deliver_run_figures
from results.features import choose_runs, draw_features
from results.figures import to_png
from results.files import make_folder, replace_file
from results.reading import read_runs
from results.statistics import compare
from results.store import answering, open_store
from results.tables import render_console, render_csv, render_markdown
from results.words import describe_origin, describe_rows, put_into_words, title_pair

if TYPE_CHECKING:
    from mlflow import MlflowClient


def build(name: str, into: Path, console: Console) -> list[Path]:
    """Read the finished runs of `name`, print their table, write table and figures, and keep both in MLflow.

    Args:
        name: MLflow experiment: what was launched, for example demo.
        into: folder that receives tables/ and figures/; no file is replaced before everything is drawn.
        console: where the table is printed.

    Returns:
        The files written.

    Raises:
        BadInput: unknown name, nothing finished, an unreachable store or an unwritable folder.
    """
    client = open_store()
    recorded = read_runs(client, name)
    tables, figures = make_folder(into / "tables"), make_folder(into / "figures")

    runs = name_cells(recorded.runs)
    cells, comparisons = summarise(runs), compare(runs)
    sentences = put_into_words(cells, comparisons)
    notes, origin = describe_rows(runs, cells, recorded.left_out), describe_origin(runs, name)
    for table in render_console(cells):
        console.print(table, "")
    for line in sentences:
        console.print(line, markup=False, highlight=False)
    for line in [*notes, origin]:
        console.print(line, style="dim", markup=False, highlight=False)

    stem = _plain(name)
    markdown = render_markdown(cells, origin, sentences, notes)
    contents = {
        tables / f"{stem}.csv": render_csv(cells, comparisons, origin, notes).encode(),
        tables / f"{stem}.md": markdown.encode(),
    }
    with console.status("drawing figures"):
        curves, problems = read_curves(client, [str(run_id) for run_id in runs.index])
        drawn, more_problems = _draw(client, runs, curves)
    contents |= {figures / f"{stem}_{figure}.png": content for figure, content in drawn.items()}
    for problem in problems + more_problems:
        console.print(f"missing from the figures: {problem}", markup=False, highlight=False)
    files = [replace_file(path, content) for path, content in contents.items()]
    with console.status("sending report and figures to MLflow"), answering(f"{into} is up to date, MLflow is not"):
        deliver_run_figures(client, runs, curves)
        deliver_report(client, recorded.experiment_id, files, markdown, f"python -m results build {name}")
    return files


def _draw(client: "MlflowClient", runs: pd.DataFrame, curves: pd.DataFrame) -> tuple[dict[str, bytes], list[str]]:
    # Two figures a pair and recipe, by the end of their file name; and what could not be drawn.
    drawn: dict[str, bytes] = {}
    problems: list[str] = []
    for (pair, recipe), group in runs.groupby(["pair", "recipe"]):
        place = _plain(f"{pair} {recipe}".rstrip())
        title = title_pair(group[f"tag.{record.PAIR_TITLE}"].iloc[-1], str(recipe))
        if curves["run_id"].isin(group.index).any():
            drawn[f"{place}_curves"] = to_png(draw_curves(group, curves, title))
        try:
            samples = {heading: read_features(client, run_id) for heading, run_id in choose_runs(group).items()}
        except BadInput as error:
            problems.append(str(error))
            continue
        if samples:
            drawn[f"{place}_features"] = to_png(draw_features(samples, title))
    return drawn, problems


def _plain(name: str) -> str:
    # As part of a file name.
    return re.sub(r"[^\w.-]+", "_", name)
