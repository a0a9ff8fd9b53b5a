r"""A document in LaTeX, to be read with \input; needs booktabs alone."""

import re
from itertools import groupby

from results.document import Document, Grid

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': r"\textquotedbl{}", "→": r"$\rightarrow$", "±": r"$\pm$",
    "†": r"\dag{}", "°": r"$^\circ$", "×": r"$\times$", "−": "$-$", "≥": r"$\geq$", "≤": r"$\leq$",
}  # fmt: skip


def render(document: Document) -> str:
    r"""A table environment for each grid, the caption of the first with sentences and notes; origin as a comment."""
    origin = " ".join(document.origin.split())
    head = f"% {origin}\n% needs \\usepackage{{booktabs}} and \\usepackage[T1]{{fontenc}}\n"
    caption = " ".join(f"{_code_set(line)}." for line in [*document.notes, document.origin])
    tables = [
        _render_grid(grid, caption if place == 0 else f"{escape(grid.title.capitalize())}.", f"{document.name}-{place}")
        for place, grid in enumerate(grid for grid in document.grids if grid.rows)
    ]
    return head + "\n".join(tables)


def _render_grid(grid: Grid, caption: str, label: str) -> str:
    columns = "l" * grid.names + "r" * (len(grid.headings) - grid.names)
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\label{{tab:{_plain(label)}}}"]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row(grid.headings), r"\midrule"]
    for place, (group, rows) in enumerate(groupby(zip(grid.groups, grid.rows, strict=True), key=lambda row: row[0])):
        lines += [r"\addlinespace"] * (place > 0)
        lines += [rf"\multicolumn{{{len(grid.headings)}}}{{l}}{{\textit{{{escape(group)}}}}} \\"]
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
