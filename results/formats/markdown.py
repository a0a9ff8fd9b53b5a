"""A document in Markdown, as GitHub and the MLflow UI show it."""

import re

from results.document import Document, Grid


def render(document: Document) -> str:
    """Origin in the first line, then the tables, what they show and how to read them."""
    bullets = ["\n".join(f"- {_code_kept(line)}" for line in group) for group in (document.sentences, document.notes)]
    tables = [_render_grid(grid) for grid in document.grids if grid.rows]
    return "\n\n".join([f"*{_code_kept(document.origin)}*", *tables, *filter(None, bullets)]) + "\n"


def _render_grid(grid: Grid) -> str:
    rule = ["---"] * (1 + grid.names) + ["---:"] * (len(grid.headings) - grid.names)
    lines = [["pair", *map(escape, grid.headings)], rule]
    lines += [[escape(group), *map(escape, row)] for group, row in zip(grid.groups, grid.rows, strict=True)]
    of_pairs = any(grid.groups)
    return "\n".join(f"| {' | '.join(line if of_pairs else line[1:])} |" for line in lines)


def escape(text: str) -> str:
    """The same text where Markdown and the HTML inside it would read marks.

    >>> print(escape("a|b `c` <script> *d*"))
    a\\|b \\`c\\` &lt;script> \\*d\\*
    """
    return re.sub(r"([\\`*|\[\]])", r"\\\1", text).replace("<", "&lt;")


def _code_kept(line: str) -> str:
    # Commands stand between single backticks, which are meant; elsewhere nothing is markup.
    if line.count("`") % 2:
        return escape(line)
    return "`".join(part if place % 2 else escape(part) for place, part in enumerate(line.split("`")))
