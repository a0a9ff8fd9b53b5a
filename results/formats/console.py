"""A document in a terminal of 80 columns."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from results.document import Document, Grid

TERMINAL = 80


def show(document: Document, console: Console) -> None:
    """Print the grids in at most 80 columns, what they show, and how to read them."""
    for grid in document.grids:
        if grid.rows:
            console.print(grid.title, style="italic", highlight=False)
            for rendered in render_grid(grid):
                console.print(rendered, "")
    for line in document.unsaid:
        console.print(line, markup=False, highlight=False)
    for line in [*document.notes, document.origin]:
        console.print(line, style="dim", markup=False, highlight=False)


def render_grid(grid: Grid) -> list[Table]:
    """A table for each group, equally wide, so that numbers stand below each other; only names fold, never a number."""
    columns = list(zip(*grid.rows, strict=True)) or [()] * len(grid.headings)
    between = 2 * len(columns) - 1
    widths = [max(map(len, column)) for column in zip(grid.headings, *grid.rows, strict=True)]
    if sum(widths) + between > TERMINAL:  # headings of two words stand in two lines
        words = [[*heading.split(), *column] for heading, column in zip(grid.headings, columns, strict=True)]
        widths = [max(map(len, each)) for each in words]
    for place in sorted(range(grid.names), key=lambda place: -widths[place]):  # the widest name first
        excess = sum(widths) + between - TERMINAL
        widths[place] = max(min(widths[place], widths[place] - excess), min(widths[place], len("source only")))
    tables = []
    for group in dict.fromkeys(grid.groups):
        title = Text(group, style="bold") if group else None
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
        for number, (heading, width) in enumerate(zip(grid.headings, widths, strict=True)):
            table.add_column(heading, width=width, justify="left" if number < grid.names else "right", overflow="fold")
        for row, of in zip(grid.rows, grid.groups, strict=True):
            if of == group:
                table.add_row(*map(Text, row))
        tables.append(table)
    return tables
