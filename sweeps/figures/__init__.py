"""The catalogue of a sweep's figures: a file each, and in it a function `draw` of the form `base.Draw`."""

from pathlib import Path

import optuna

from experiments.record.files import write_atomically, writing_to
from results.drawing.base import styled, to_png
from sweeps.figures import history, importance, parallel, schedules, slices
from sweeps.figures.base import Draw
from sweeps.sweep import Sweep

FIGURES: dict[str, Draw] = {
    "history": history.draw,
    "importance": importance.draw,
    "slices": slices.draw,
    "schedules": schedules.draw,
    "parallel": parallel.draw,
}


def draw_sweep(sweep: Sweep, study: optuna.Study, folder: Path) -> list[Path]:
    """Draw what the complete trials show into `<folder>/<figure>.png` and return the paths."""
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return [path for name in FIGURES if (path := draw_one(name, sweep, study, folder / f"{name}.png"))]


def draw_one(name: str, sweep: Sweep, study: optuna.Study, path: Path) -> Path | None:
    """Draw one figure into `path`; None where there is nothing of the kind to be seen."""
    with styled():
        figure = FIGURES[name](sweep, study)
        if figure is None:
            return None
        write_atomically(path, to_png(figure, dpi=110))
    return path
