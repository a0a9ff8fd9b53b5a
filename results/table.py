"""A table: from the name of an MLflow experiment to its runs, cells and comparisons, and to what is said of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments.errors import BadInput
from experiments.record.store import Unreachable
from experiments.validators import LAST
from results.artifacts import COLUMNS, read_curves, read_evaluations
from results.caption import describe_origin, describe_rows
from results.cells import CELL, TARGET, drop_repeated, name_cells, summarise
from results.document import Document, Grid
from results.drawing import DEFAULT
from results.drawing.base import Material
from results.formats.csv import pivot
from results.grids import list_runs, tabulate, tabulate_comparisons, tabulate_pairs, tabulate_published
from results.provenance import PROVENANCE
from results.published import compare_published, read_published
from results.reading import FINISHED, read_runs
from results.selecting import NUMBERS, report_selected
from results.statistics import compare
from results.words import describe_gapless, put_into_words, put_pairs_into_words

if TYPE_CHECKING:
    from mlflow import MlflowClient


Part = Callable[[Material], tuple[Grid, list[str]]]
"""What a table shows beyond the usual grids: of all its material, another grid and notes on it."""


@dataclass(frozen=True)
class Request:
    """What is to be built, and how."""

    name: str
    """Of the table, and of the MLflow experiment that keeps it: what was launched, for example demo."""
    recipes: Sequence[str] = ()
    """MLflow experiments whose runs it holds; the one of its own name unless told."""
    published: tuple[str, str] | None = None
    """Source and place of the published table that it stands beside: rows that we have no run of are shown, too."""
    parts: Sequence[Part] = ()
    """What it shows beyond the usual grids."""
    notes: Sequence[str] = ()
    """What differs from the paper, and the like."""
    selection: str = LAST
    """Which step of each run is reported: last, a validator, or target_oracle."""
    figures: Sequence[str] = DEFAULT
    """Names of the catalogue, or import paths of one's own: package.module:draw."""
    where: Sequence[str] = ()
    """PARAMETER=VALUE: only runs of these."""
    mixed: bool = False
    """Let runs of different data, commit, torch version or device share a cell."""
    run_figures: bool = False
    """Give each run a figure of its own curves in MLflow."""

    @property
    def command(self) -> str:
        """The command line that builds the same table."""
        chosen = [f"--selection {self.selection}"] * (self.selection != LAST)
        options = [*(f"--where {word}" for word in self.where), *chosen, *["--mixed"] * self.mixed]
        return " ".join([f"python -m results build {self.name}", *options])


@dataclass(frozen=True)
class Table:
    """The runs of a table and all that was made of them."""

    material: Material
    """What figures are drawn of; its cells are those of `summarise` joined with `compare`."""
    frames: dict[str, pd.DataFrame]
    """The numbers, by the end of the name of their CSV."""
    document: Document
    problems: list[str] = field(default_factory=list)
    """What could not be read; grows while figures are drawn."""


def make_table(client: "MlflowClient", request: Request) -> Table:
    """Read the runs of a table, and compare them.

    Raises:
        BadInput: an unknown name or selection, or nothing finished.
        Unreachable: the store does not answer.
    """
    recorded = read_runs(client, *(request.recipes or [request.name]), where=request.where)
    named, repeated = drop_repeated(name_cells(recorded.runs, mixed=request.mixed))
    finished = named[named["status"] == FINISHED]
    addresses = dict(zip(map(str, finished.index), finished["artifacts"], strict=True))
    curves, problems = pd.DataFrame(columns=COLUMNS), []
    if request.selection != LAST or request.figures or request.run_figures:
        curves, problems = read_curves(addresses)
    read = partial(_read, addresses)
    finished, unselected = report_selected(finished, request.selection, curves, read)
    problems += unselected
    if finished[TARGET].isna().all():
        raise BadInput(f"none of the {len(finished)} finished runs of {request.name!r} has the metric {TARGET}")
    runs = pd.concat([named[named["status"] != FINISHED], finished])
    comparisons, pairs = compare(runs)
    cells = summarise(runs).merge(comparisons, on=CELL, how="left")
    published = compare_published(cells, read_published(), request.published)
    theirs, sources = tabulate_published(published)
    over_pairs, averaged = tabulate_pairs(pairs)

    def read_or_note(run_id: str) -> dict[str, np.ndarray] | None:
        try:
            return read(run_id)
        except Unreachable as error:
            problems.append(str(error))
            return None

    shown = finished[finished["step"].notna()]
    material = Material(shown, cells, curves[curves["run_id"].isin(shown.index)], read_or_note)
    parts = [part(material) for part in request.parts]
    told = [line for _, lines in parts for line in lines]
    absent = [f"no run yet: {', '.join(recorded.absent)}"] if recorded.absent else []
    rows = describe_rows(runs, cells, recorded.left_out) + describe_gapless(cells)
    document = Document(
        name=request.name,
        grids=[tabulate(cells), tabulate_comparisons(cells), over_pairs, *(p[0] for p in parts), theirs],
        sentences=put_into_words(cells) + put_pairs_into_words(pairs),
        notes=[*request.notes, *rows, *averaged, *absent, *repeated, *told, *sources],
        origin=describe_origin(runs, request.command),
        appendix=[list_runs(runs)],
    )
    frames = {"": cells, "_pivot": pivot(cells), "_seeds": _list_seeds(runs), "_published": published}
    return Table(material, {end: frame for end, frame in frames.items() if len(frame)}, document, problems)


def refuse_figures(request: Request, *drawn: str) -> None:
    """Refuse figures that a table of a form of its own has not the material for.

    Raises:
        BadInput: naming what it has.
    """
    for name in request.figures:
        if name not in drawn and ":" not in name:
            allowed = ", ".join((*drawn, "none"))
            raise BadInput(f"{request.name} has no figure {name}: allowed are {allowed}, or one of your own")
    if request.run_figures:
        raise BadInput(f"{request.name} gives no run a figure: build what was launched with --run-figures")


def _list_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    # One row a run, with what it is, its reported numbers and where they were made.
    columns = [*CELL, "seed", "status", "selection", "step", *NUMBERS, *PROVENANCE, "start", "end"]
    return runs[columns].sort_values([*CELL, "seed"]).rename_axis("run_id").reset_index()


def _read(addresses: dict[str, str], run_id: str) -> dict[str, np.ndarray]:
    return read_evaluations(run_id, addresses[run_id])
