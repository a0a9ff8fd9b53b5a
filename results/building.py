"""`build`: from the name of an MLflow experiment to its table, its figures and its report."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
from rich.console import Console

from experiments.errors import BadInput, unknown
from experiments.identity import find
from experiments.record import names
from experiments.record.files import write_atomically, writing_to
from experiments.record.store import Unreachable, answering, open_client
from experiments.validators import LAST
from results.artifacts import read_curves, read_evaluations
from results.caption import describe_origin, describe_rows
from results.cells import CELL, drop_repeated, name_cells, summarise
from results.delivering import deliver_report, deliver_run_figures
from results.drawing import DEFAULT, FIGURES, Draw
from results.drawing.base import Material, to_png
from results.reading import FINISHED, read_runs
from results.selecting import report_selected
from results.statistics import compare
from results.tables import render_console, render_csv, render_markdown
from results.words import put_into_words, put_pairs_into_words

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Request:
    """What is to be built, and how."""

    name: str
    """MLflow experiment: what was launched, for example demo."""
    selection: str = LAST
    """Which step of each run is reported: last, a validator, or target_oracle."""
    figures: Sequence[str] = DEFAULT
    """Names of the catalogue, or import paths of one's own: package.module:draw."""
    mixed: bool = False
    """Let runs of different data, commit, torch version or device share a cell."""
    run_figures: bool = False
    """Give each run a figure of its own curves in MLflow."""

    @property
    def command(self) -> str:
        """The command line that builds the same."""
        options = [f"--selection {self.selection}"] * (self.selection != LAST) + ["--mixed"] * self.mixed
        return " ".join([f"python -m results build {self.name}", *options])


@dataclass(frozen=True)
class Built:
    """A table and all that stands around it."""

    material: Material
    origin: str
    sentences: list[str]
    notes: list[str]
    problems: list[str] = field(default_factory=list)
    """What could not be read; grows while figures are drawn."""


def build(request: Request, console: Console, into: Path | None = None, *, publish: bool = False) -> list[Path]:
    """Read the runs of a table, print it, write table and figures, and keep both in MLflow.

    Args:
        request: what to build.
        console: where the table is printed.
        into: folder that receives the files, `reports/NAME` below the runs unless told; no file is replaced before
            everything is drawn.
        publish: write tables and figures into the committed folders as well.

    Returns:
        The files written.

    Raises:
        BadInput: unknown name, selection or figure, nothing finished, or an unwritable folder.
        Unreachable: the store does not answer.
    """
    draws = [find_figure(name) for name in request.figures]
    client = open_client(create=False)
    experiment_id, built = _make(client, request)
    cells = built.material.cells
    for table in render_console(cells):
        console.print(table, "")
    for line in built.sentences:
        console.print(line, markup=False, highlight=False)
    for line in [*built.notes, built.origin]:
        console.print(line, style="dim", markup=False, highlight=False)

    stem = _plain(request.name)
    into = into or names.runs_root() / "reports" / stem
    markdown = render_markdown(cells, built.origin, built.sentences, built.notes)
    tables = {
        f"{stem}.csv": render_csv(cells, built.origin, built.notes).encode(),
        f"{stem}.md": markdown.encode(),
    }
    with console.status("drawing figures"):
        drawn = [(_plain(f"{stem}_{name}"), figure) for draw in draws for name, figure in draw(built.material)]
        figures = {f"{name}.png": to_png(figure) for name, figure in drawn}
    for problem in dict.fromkeys(built.problems):
        console.print(f"missing: {problem}", markup=False, highlight=False)
    files = _write(into, tables | figures)
    if publish:
        files += _write(names.RESULTS / "tables", tables) + _write(names.RESULTS / "figures", figures)
    with console.status("sending report and figures to MLflow"), answering(f"{into} is up to date, MLflow is not"):
        if request.run_figures:
            deliver_run_figures(client, built.material.runs, built.material.curves)
        deliver_report(client, experiment_id, [into / name for name in tables | figures], markdown, request.command)
    return files


def find_figure(name: str) -> Draw:
    """A figure of the catalogue, or one of the user's own by its import path `package.module:draw`.

    Raises:
        BadInput: there is none.
    """
    if name in FIGURES:
        return FIGURES[name]
    if ":" not in name:
        raise unknown("figure", name, FIGURES)
    found = find(name)
    if not callable(found):
        raise BadInput(f"{name} must be a figure, a function of results.drawing.base.Material, got {found!r}")
    return cast(Draw, found)


def _make(client: "MlflowClient", request: Request) -> tuple[str, Built]:
    recorded = read_runs(client, request.name)
    runs, repeated = drop_repeated(name_cells(recorded.runs, mixed=request.mixed))
    finished = runs[runs["status"] == FINISHED]
    problems: list[str] = []
    curves, missing = pd.DataFrame(columns=["run_id", "step", "metric", "value"]), []
    if request.selection != LAST or request.figures or request.run_figures:
        curves, missing = read_curves(dict(zip(map(str, finished.index), finished["artifacts"], strict=True)))
    read = partial(_read_evaluations, finished)
    finished, unselected = report_selected(finished, request.selection, curves, read)
    runs = pd.concat([runs[runs["status"] != FINISHED], finished])
    comparisons, pairs = compare(runs)
    cells = summarise(runs).merge(comparisons, on=CELL, how="left")
    problems += missing + unselected

    def read_or_note(run_id: str) -> dict[str, np.ndarray] | None:
        try:
            return read(run_id)
        except Unreachable as error:
            problems.append(str(error))
            return None

    return recorded.experiment_id, Built(
        Material(finished, cells, curves, read_or_note),
        describe_origin(runs, request.command),
        put_into_words(cells) + put_pairs_into_words(pairs),
        describe_rows(runs, cells, recorded.left_out) + repeated,
        problems,
    )


def _read_evaluations(runs: pd.DataFrame, run_id: str) -> dict[str, np.ndarray]:
    return read_evaluations(run_id, str(runs.at[run_id, "artifacts"]))


def _write(folder: Path, contents: dict[str, bytes]) -> list[Path]:
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def _plain(name: str) -> str:
    # As part of a file name.
    return re.sub(r"[^\w.-]+", "_", name)
