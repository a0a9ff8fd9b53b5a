"""Cells as a table: for the terminal, in Markdown and in CSV."""

from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from results.words import MARK, fraction, title_method, title_pair

_TERMINAL = 80
HEADINGS = ["method", "target", "source", "gap", "domain loss", "PAD", "n"]


def render_console(cells: pd.DataFrame) -> list[Table]:
    """A table for each pair and recipe, equally wide, so that numbers stand below each other.

    80 columns are enough: only names fold, never a number.
    """
    rows = tabulate(cells)
    widths = [
        max(map(len, [*heading.split(), *column]))
        for heading, column in zip(HEADINGS, zip(*rows, strict=True), strict=True)
    ]
    between = 2 * len(widths) - 1
    widths[0] = max(min(widths[0], _TERMINAL - sum(widths[1:]) - between), len("source only"))
    tables = []
    for (_, recipe), group in cells.groupby(["pair", "recipe"], sort=False):
        title = Text(title_pair(group["pair_title"].iloc[0], str(recipe)), style="bold")
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
        for number, (heading, width) in enumerate(zip(HEADINGS, widths, strict=True)):
            table.add_column(heading, width=width, justify="right" if number else "left", overflow="fold")
        for row in group.index:
            table.add_row(*map(Text, rows[row]))
        tables.append(table)
    return tables


def render_markdown(cells: pd.DataFrame, origin: str, sentences: list[str], notes: list[str]) -> str:
    """The table as a file: origin in its first line, what it shows and how to read it below."""
    pairs = [title_pair(*titles) for titles in zip(cells["pair_title"], cells["recipe"], strict=True)]
    lines = [["pair", *HEADINGS], ["---", "---", *["---:"] * (len(HEADINGS) - 1)]]
    lines += [[pair, *row] for pair, row in zip(pairs, tabulate(cells), strict=True)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    bullets = ["\n".join(f"- {line}" for line in group) for group in (sentences, notes) if group]
    return "\n\n".join([f"*{origin}*", table, *bullets]) + "\n"


def render_csv(cells: pd.DataFrame, origin: str, notes: list[str]) -> str:
    """Every number with all its digits below comments: `pandas.read_csv(path, comment="#")` reads it back."""
    comments = "".join(f"# {line}\n" for line in (origin, *notes))
    return comments + cells.astype({"n_paired": "Int64"}).to_csv(index=False, lineterminator="\n")


def tabulate(cells: pd.DataFrame) -> list[list[str]]:
    """The cells as text, in the order of `HEADINGS`."""
    return [_row(cell) for cell in cells.to_dict("records")]


def _row(cell: dict[Any, Any]) -> list[str]:
    method = title_method(cell["method"], cell["variant"])
    return [
        method if cell["target_labels"] == "no" else f"{method} {MARK}",
        *(
            " ± ".join(filter(None, (fraction(cell[number]), fraction(cell[f"{number}_sd"]))))
            for number in ("target_accuracy", "source_accuracy")
        ),
        *(fraction(cell[number]) for number in ("gap_covered", "domain_loss", "proxy_a_distance")),
        f"{cell['n']} of {cell['planned']}" if cell["lost"] else str(cell["n"]),
    ]
