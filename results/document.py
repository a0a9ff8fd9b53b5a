"""What every format renders of a table: text in grids, and all that stands around them."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Grid:
    """Text in rows and columns, names on the left and numbers to their right."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    names: int
    """How many columns are names; the others are aligned to the right."""
    groups: list[str]
    """What each row belongs to: its pair, as printed; rows of one group stand together. Empty where there is none."""


@dataclass(frozen=True)
class Document:
    """Everything that is printed of a table."""

    name: str
    grids: list[Grid]
    sentences: list[str]
    """What it shows."""
    notes: list[str]
    """How to read it."""
    origin: str
    """Where it comes from, in one line."""
    appendix: list[Grid] = field(default_factory=list)
    """What only a page that can be unfolded has room for."""
    figures: dict[str, bytes] = field(default_factory=dict)
    """Name -> PNG."""

    @property
    def unsaid(self) -> list[str]:
        """The sentences, where no grid says the same."""
        told = any("verdict" in grid.headings for grid in self.grids if grid.rows)
        return [] if told else self.sentences
