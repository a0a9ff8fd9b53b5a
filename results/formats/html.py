"""A document as one self-contained HTML page: sortable tables, figures inside, nothing loaded from elsewhere."""

import base64
import re
from html import escape
from itertools import groupby

from results.document import Document, Grid

_STYLE = """
:root { color-scheme: light; --ink: #1b1b1b; --faint: #666; --line: #ddd; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th.name, td.name, th.group { text-align: left; }
thead th { cursor: pointer; border-bottom: 2px solid var(--ink); }
th[aria-sort=ascending]::after { content: " ▲"; } th[aria-sort=descending]::after { content: " ▼"; }
th.group { font-weight: 600; padding-top: .9rem; }
img { max-width: 100%; height: auto; } figure { margin: 1.5rem 0; } figcaption, .faint, .notes { color: var(--faint); }
code { background: #f3f3f3; padding: .1rem .3rem; border-radius: .2rem; overflow-wrap: anywhere; }
summary { cursor: pointer; }
"""
# Rows are sorted within their pair: a comparison across pairs would not be one.
_SCRIPT = """
for (const head of document.querySelectorAll("thead th")) head.onclick = () => {
  const up = head.getAttribute("aria-sort") !== "ascending", place = head.cellIndex;
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = row => { const text = row.cells[place].textContent, number = parseFloat(text.replace(/^< /, ""));
    return isNaN(number) ? [1, 0, text] : [0, number, text]; };
  const compare = (a, b) => { const [x, y] = [key(a), key(b)];
    return x[0] - y[0] || x[1] - y[1] || x[2].localeCompare(y[2]); };
  for (const body of head.closest("table").tBodies) {
    const rows = [...body.rows].filter(row => !row.querySelector("th"));
    body.append(...rows.sort((a, b) => up ? compare(a, b) : compare(b, a)));
  }
};
"""


def render(document: Document) -> str:
    """The page; a click on a heading sorts the rows of each pair."""
    parts = [f"<h1>{escape(document.name)}</h1>"]
    parts += [f'<p class="faint">{_text(document.origin)}</p>']
    parts += [_render_grid(grid) for grid in document.grids if grid.rows]
    parts += [_list(document.sentences, "what it shows"), _list(document.notes, "how to read it", "notes")]
    for name, content in document.figures.items():
        source = base64.b64encode(content).decode()
        parts.append(
            f'<figure><img alt="{escape(name)}" src="data:image/png;base64,{source}">'
            f"<figcaption>{escape(name)}</figcaption></figure>"
        )
    parts += [f"<details><summary>{escape(grid.title)}</summary>{_table(grid)}</details>" for grid in document.appendix]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(document.name)}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(filter(None, parts)) + "\n"
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _render_grid(grid: Grid) -> str:
    return f"<h2>{escape(grid.title)}</h2>{_table(grid)}"


def _table(grid: Grid) -> str:
    def cells(tag: str, texts: list[str]) -> str:
        return "".join(
            f"<{tag}{' class=name' if place < grid.names else ''}>{escape(text)}</{tag}>"
            for place, text in enumerate(texts)
        )

    bodies = [
        "<tbody>"
        + f'<tr><th class="group" colspan="{len(grid.headings)}">{escape(group)}</th></tr>' * bool(group)
        + "\n".join(f"<tr>{cells('td', row)}</tr>" for _, row in rows)
        + "</tbody>"
        for group, rows in groupby(zip(grid.groups, grid.rows, strict=True), key=lambda row: row[0])
    ]
    head = f"<thead><tr>{cells('th', grid.headings)}</tr></thead>"
    return f'<div class="scroll"><table>{head}{"".join(bodies)}</table></div>'


def _list(lines: list[str], title: str, kind: str = "") -> str:
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f'<h2>{title}</h2><ul class="{kind}">{items}</ul>' if lines else ""


def _text(line: str) -> str:
    # Commands stand between backticks.
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(line))
