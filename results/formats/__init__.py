"""The formats of a document: a file each, and in it a function `render` from a `Document` to text."""

from collections.abc import Callable

from results.document import Document
from results.formats import html, latex, markdown

FORMATS: dict[str, Callable[[Document], str]] = {
    "md": markdown.render,
    "tex": latex.render,
    "html": html.render,
}
