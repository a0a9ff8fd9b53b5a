"""`build`: a table printed, written in every format with its figures, and kept in MLflow."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.console import Console

from experiments.errors import BadInput, unknown
from experiments.identity import find
from experiments.record import names
from experiments.record.delivery import ensure_experiment
from experiments.record.files import write_atomically, writing_to
from experiments.record.store import answering, open_client
from results.delivering import deliver_report, deliver_run_figures
from results.drawing import FIGURES, Draw
from results.drawing.base import to_png, to_svg
from results.formats import FORMATS
from results.formats.console import show
from results.formats.csv import render_csv
from results.table import Request, Table, make_table

if TYPE_CHECKING:
    from mlflow import MlflowClient

# What belongs into the repository; the others are for whoever builds.
PUBLISHED = (".csv", ".md", ".tex", ".png")


def build(
    request: Request,
    console: Console,
    into: Path | None = None,
    *,
    publish: bool = False,
    make: "Callable[[MlflowClient, Request], Table]" = make_table,
) -> list[Path]:
    """Read the runs of a table, print it, write table and figures, and keep both in MLflow.

    Args:
        request: what to build.
        console: where the table is printed.
        into: folder that receives the files, `reports/NAME` below the runs unless told; no file is replaced before
            everything is drawn.
        publish: write tables and figures into the committed folders as well.
        make: how the table is made.

    Returns:
        The files written.

    Raises:
        BadInput: unknown name, selection or figure, nothing finished, or an unwritable folder.
        Unreachable: the store does not answer.
    """
    draws = [find_figure(name) for name in request.figures]
    client = open_client(create=False)
    table = make(client, request)
    show(table.document, console)

    stem = plain(request.name)
    into = into or names.runs_root() / "reports" / stem
    with console.status("drawing figures"):
        drawn = {plain(f"{stem}_{name}"): figure for draw in draws for name, figure in draw(table.material)}
        pictures = {f"{name}.png": to_png(figure) for name, figure in drawn.items()}
        vectors = {f"{name}.svg": to_svg(figure) for name, figure in drawn.items()}
    for problem in put_together(table.problems):
        console.print(f"missing: {problem}", markup=False, highlight=False)
    tables = render(table, stem, pictures)
    files = _write(into, tables | pictures | vectors)
    if publish:
        for folder, contents in (("tables", tables), ("figures", pictures)):
            shown = {name: content for name, content in contents.items() if Path(name).suffix in PUBLISHED}
            files += _write(names.RESULTS / folder, shown)
    with console.status("sending report and figures to MLflow"), answering(f"{into} is up to date, MLflow is not"):
        if request.run_figures:
            deliver_run_figures(client, table.material.runs, table.material.curves)
        sent = [into / name for name in tables | pictures]
        experiment_id = ensure_experiment(client, request.name)
        deliver_report(client, experiment_id, sent, tables[f"{stem}.md"].decode(), request.command)
    return files


def render(table: Table, stem: str, pictures: dict[str, bytes]) -> dict[str, bytes]:
    """The table in every format: file name -> content.

    Args:
        table: what to render.
        stem: what its files are called.
        pictures: file name -> PNG, for the page that shows them.
    """
    document = replace(table.document, figures=pictures)
    comments = [document.origin, *document.notes]
    numbers = {f"{stem}{end}.csv": render_csv(frame, comments) for end, frame in table.frames.items()}
    texts = {f"{stem}.{end}": rendered(document) for end, rendered in FORMATS.items()}
    return {name: text.encode() for name, text in (numbers | texts).items()}


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


def put_together(problems: Sequence[str]) -> list[str]:
    """One line for each kind of problem: the first of those that differ in the id of a run alone, and how many more.

    >>> put_together([f"run {digit * 32} has no curves" for digit in "0123"])
    ['run 00000000000000000000000000000000 has no curves (and 3 more runs)']
    """
    kinds: dict[str, list[str]] = {}
    for problem in dict.fromkeys(problems):
        kinds.setdefault(re.sub(r"\b[0-9a-f]{32}\b", "", problem), []).append(problem)
    more = {1: "", 2: " (and 1 more run)"}
    return [of[0] + more.get(len(of), f" (and {len(of) - 1} more runs)") for of in kinds.values()]


def plain(name: str) -> str:
    """A name as part of a file name."""
    return re.sub(r"[^\w.-]+", "_", name)


def _write(folder: Path, contents: dict[str, bytes]) -> list[Path]:
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]
