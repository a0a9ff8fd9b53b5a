r"""A document in LaTeX, to be read with \input; needs booktabs alone."""

import re
from dataclasses import replace
from itertools import groupby

from results.document import Document, Grid

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': r"\textquotedbl{}", "→": r"$\rightarrow$", "±": r"$\pm$",
    "†": r"\dag{}", "°": r"$^\circ$", "×": r"$\times$", "−": "$-$", "≥": r"$\geq$", "≤": r"$\leq$",
}  # fmt: skip

ROWS = 40  # about what a page holds
HEADING = 2  # rows that the heading of a group and the space above it take


def render(document: Document) -> str:
    r"""A table environment for each grid, several for one that is longer than a page; then, as text, what is shown and
    how to read it, which would be too long for a caption."""
    origin = " ".join(document.origin.split())
    head = f"% {origin}\n% needs \\usepackage{{booktabs}} and \\usepackage[T1]{{fontenc}}\n"
    parts = [part for grid in document.grids if grid.rows for part in _split(grid)]
    tables = [_render_grid(grid, f"{document.name}-{place}") for place, grid in enumerate(parts)]
    lines = [*document.unsaid, *document.notes, document.origin]
    text = "\n".join(rf"\noindent {_code_set(line.removesuffix('.'))}.\par" for line in lines)
    return head + "\n".join([*tables, r"{\footnotesize\raggedright", f"{text}}}", ""])


def _split(grid: Grid) -> list[Grid]:
    # Where a page ends: between groups, and within one only where it alone is longer.
    parts: list[list[int]] = [[]]
    left = ROWS
    for title, places in groupby(range(len(grid.rows)), key=lambda place: grid.groups[place]):
        group, heading = list(places), HEADING * bool(title)
        while group:
            if parts[-1] and heading + len(group) > left:
                parts.append([])
                left = ROWS
            fitting, group = group[: left - heading], group[left - heading :]
            parts[-1] += fitting
            left -= heading + len(fitting)
    return [
        replace(
            grid,
            title=grid.title if number == 0 else f"{grid.title}, continued",
            rows=[grid.rows[place] for place in part],
            groups=[grid.groups[place] for place in part],
        )
        for number, part in enumerate(parts)
    ]


def _render_grid(grid: Grid, label: str) -> str:
    columns = "l" * grid.names + "r" * (len(grid.headings) - grid.names)
    title = grid.title[:1].upper() + grid.title[1:]
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escape(title)}.}}", rf"\label{{tab:{_plain(label)}}}"]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row(grid.headings), r"\midrule"]
    for place, (group, rows) in enumerate(groupby(zip(grid.groups, grid.rows, strict=True), key=lambda row: row[0])):
        lines += [r"\addlinespace"] * (place > 0)
        lines += [rf"\multicolumn{{{len(grid.headings)}}}{{l}}{{\textit{{{escape(group)}}}}} \\"] * bool(group)
        lines += [_row(row) for _, row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _row(texts: list[str]) -> str:
    return " & ".join(map(escape, texts)) + r" \\"


def escape(text: str) -> str:
    r"""The same text where LaTeX would read commands.

    >>> print(escape("50 % of a_b <x>, -.1 and --steps"))
    50 \% of a\_b \textless{}x\textgreater{}, $-$.1 and -{}-steps
    """
    escaped = "".join(_SPECIAL.get(character, character) for character in text)
    return re.sub(r"(?:(?<=\s)|^)-(?=[\d.])", "$-$", escaped.replace("--", "-{}-"))


def _code_set(line: str) -> str:
    # Commands stand between backticks.
    if line.count("`") % 2:
        return escape(line)
    parts = map(escape, line.split("`"))
    return "".join(rf"\texttt{{{part}}}" if place % 2 else part for place, part in enumerate(parts))


def _plain(label: str) -> str:
    return "".join(character if character.isascii() and character.isalnum() else "-" for character in label)
