"""The grids of a document: a table's cells, comparisons, published numbers and runs as text."""

import math
from string import ascii_lowercase
from typing import Any

import pandas as pd

from experiments.record import names
from results.across import FEWEST_PAIRS
from results.cells import CELL, LOWER, UPPER, name_uses
from results.document import Grid
from results.provenance import PROVENANCE
from results.words import decide, fraction, title_pair, title_used


def tabulate(cells: pd.DataFrame) -> Grid:
    """The table itself: accuracies, gap, domain loss and proxy A-distance of each cell."""
    headings = ["method", "target", "source", "gap", "domain loss", "PAD", "n"]
    rows = [_row(cell) for cell in cells.to_dict("records")]
    return Grid("accuracies", headings, rows, 1, _groups(cells))


def _row(cell: dict[Any, Any]) -> list[str]:
    return [
        title_used(cell),
        *(
            " ± ".join(filter(None, (fraction(cell[number]), fraction(cell[f"{number}_sd"]))))
            for number in ("target_accuracy", "source_accuracy")
        ),
        *(fraction(cell[number]) for number in ("gap_covered", "domain_loss", "proxy_a_distance")),
        f"{cell['n']} of {cell['planned']}" if cell["lost"] else str(cell["n"]),
    ]


def tabulate_comparisons(cells: pd.DataFrame) -> Grid:
    """Each method less source only, on the seeds that both have."""
    compared = cells[~cells["method"].isin([LOWER, UPPER])]
    if compared["n_paired"].isna().all():  # one sentence says so
        compared = compared[:0]
    rows = [
        [
            title_used(cell),
            fraction(cell["difference"]),
            _interval(cell["difference_low"], cell["difference_high"]),
            *(_p_value(cell[name]) for name in ("p_value", "p_holm")),
            f"{cell['n_paired']:.0f}" if cell["n_paired"] > 0 else "0",
            decide(cell),
        ]
        for cell in compared.to_dict("records")
    ]
    headings = ["method", "difference", "95 % interval", "p", "Holm", "n", "verdict"]
    return Grid("target accuracy less that of source only", headings, rows, 1, _groups(compared))


def tabulate_pairs(pairs: pd.DataFrame) -> tuple[Grid, list[str]]:
    """The mean over pairs of each method less source only, and a note on it.

    Args:
        pairs: of `compare`.
    """
    rows = [
        [
            title_used(row),
            fraction(row["difference"]),
            _interval(row["difference_low"], row["difference_high"]),
            *(_p_value(row[name]) for name in ("p_value", "p_holm", "wilcoxon_p")),
            str(row["pairs"]),
            str(row["n_paired"]) + (f" of {row['n_paired'] + len(row['lost'].split())}" if row["lost"] else ""),
        ]
        for row in pairs.to_dict("records")
    ]
    headings = ["method", "difference", "95 % interval", "p", "Holm", "agree", "pairs", "n"]
    groups = [title_pair("mean over pairs", recipe) for recipe in pairs["recipe"]]
    note = (
        "mean over pairs: of each seed that all pairs have the mean over them, then one paired t-test over these n "
        "seeds; two versions of a pair, as of another size, are two pairs; agree: p of Wilcoxon's signed-rank test of "
        f"whether the pairs agree, of at least {FEWEST_PAIRS}"
    )
    return Grid("target accuracy less that of source only, over pairs", headings, rows, 1, groups), [note] * bool(rows)


def tabulate_published(compared: pd.DataFrame) -> tuple[Grid, list[str]]:
    """Our means beside published ones, and a note for each source.

    Args:
        compared: of `compare_published`.
    """
    sources = list(dict.fromkeys(zip(compared["source"], compared["about"], strict=True)))
    marks = {source: _letter(place) for place, source in enumerate(sources)}
    rows = [
        [
            title_used(row),
            fraction(row["ours"]),
            _interval(row["low"], row["high"]),
            _as_printed(row["published"]),
            fraction(row["difference"]),
            row["covered"],
            marks[row["source"], row["about"]],
        ]
        for row in compared.to_dict("records")
    ]
    headings = ["method", "ours", "95 % interval", "published", "difference", "covered", "source"]
    notes = [f"published ({mark}): {source}; {about}" for (source, about), mark in marks.items()]
    return Grid("beside published accuracies", headings, rows, 1, _groups(compared)), notes


def list_runs(runs: pd.DataFrame) -> Grid:
    """Every run with its id, its seed, the step that is reported, its target accuracy, and where it was made.

    Args:
        runs: one row a run, with the columns of `name_cells` and `selecting`.
    """
    rows = [
        [
            title_used(run | {"target_labels": name_uses(run["method"], run["selection"])}),
            str(run["seed"]),
            run["status"],
            "" if math.isnan(run["step"]) else f"{run['step']:.0f}",
            fraction(run["target_accuracy"]),
            *(str(run[name]) for name in PROVENANCE),
            run["id"],
        ]
        for run in runs.assign(id=runs.index).sort_values([*CELL, "seed"]).to_dict("records")
    ]
    headings = ["method", "seed", "status", "step", "target", *PROVENANCE, "run"]
    titled = runs.sort_values([*CELL, "seed"]).rename(columns={f"tag.{names.PAIR_TITLE}": "pair_title"})
    return Grid(f"{len(rows)} runs", headings, rows, 1, _groups(titled))


def _as_printed(value: float) -> str:
    # All digits that were published, three at least.
    digits = max(3, len(f"{value:.6f}".rstrip("0").partition(".")[2]))
    return f"{value:.{digits}f}".removeprefix("0")


def _letter(place: int) -> str:
    return ascii_lowercase[place % 26] * (place // 26 + 1)


def _interval(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"{fraction(low)} to {fraction(high)}"


def _p_value(value: float) -> str:
    return "< .001" if value < 0.001 else fraction(value)


def _groups(cells: pd.DataFrame) -> list[str]:
    return [title_pair(*titles) for titles in zip(cells["pair_title"], cells["recipe"], strict=True)]
