"""How numbers, methods and pairs are printed, and what a table shows, in sentences."""

import math
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from results.cells import LOWER, UPPER
from results.gap import SMALLEST_GAP
from results.paired import LEVEL
from results.statistics import FEWEST_SEEDS

MARK = "†"
TITLES = {LOWER: "source only", UPPER: "target only", "cdan_e": "CDAN+E"}
# Of a comparison that claims nothing.
NOT_COMPARED, NO_SPREAD, SURVIVORS, NOT_SHOWN = "not compared", "no spread", "survivors", "not shown"
FEW_SEEDS = f"n < {FEWEST_SEEDS}"


def fraction(value: float) -> str:
    """Three decimals without the leading zero, as the papers print accuracies; empty for NaN.

    >>> fraction(0.5225), fraction(-0.04), fraction(1.0), fraction(-0.0004), fraction(float("nan"))
    ('.522', '-.040', '1.000', '.000', '')
    """
    if math.isnan(value):
        return ""
    text = f"{value:z.3f}"  # z: no -0
    return text.replace("0.", ".", 1) if abs(float(text)) < 1 else text


def title_method(method: str, variant: str = "") -> str:
    """A method as it is printed: by its title, the others, all of them acronyms, in capitals.

    >>> title_method("source_only"), title_method("dann", "alpha=Linear")
    ('source only', 'DANN alpha=Linear')
    >>> title_method("cdan_e", "entropy_gradient=True"), title_method("cdan_e", "entropy_gradient=False")
    ('CDAN+E entropy_gradient', 'CDAN+E')
    """
    variant = re.sub(r"\S+=False ?", "", variant).replace("=True", "")  # as in a run's own title
    return f"{TITLES.get(method, method.upper())} {variant}".rstrip()


def title_used(cell: Mapping[Any, Any]) -> str:
    """The method of a row as it is printed, with a mark where it uses target labels."""
    title = title_method(cell["method"], cell["variant"])
    return title if cell["target_labels"] == "no" else f"{title} {MARK}"


def title_pair(pair_title: str, recipe: str) -> str:
    """A pair as it is printed, with what sets its recipe apart."""
    return f"{pair_title} ({recipe})" if recipe else pair_title


def count_seeds(counts: pd.Series) -> str:
    """How many seeds the cells have.

    >>> count_seeds(pd.Series([5, 5])), count_seeds(pd.Series([1, 3]))
    ('n = 5 seeds', 'n = 1 to 3 seeds')
    """
    low, high = int(counts.min()), int(counts.max())
    return f"n = {low if low == high else f'{low} to {high}'} seed{'s' if high > 1 else ''}"


def put_into_words(cells: pd.DataFrame) -> list[str]:
    """One sentence a method and pair: is it above source_only, by how much, and how sure is that?

    Args:
        cells: of `summarise`, joined with `compare`.
    """
    compared = cells[~cells["method"].isin([LOWER, UPPER])]
    if not len(compared) or compared["n_paired"].isna().all():
        return ["no method shares a finished seed with a run of source only, so nothing is compared"]
    return [f"{title_cell(cell)} {_judge(cell)}" for cell in compared.to_dict("records")]


def title_cell(cell: Mapping[Any, Any] | pd.Series) -> str:
    """A cell as it is printed: pair, method and variant."""
    return f"{title_pair(cell['pair_title'], cell['recipe'])}: {title_method(cell['method'], cell['variant'])}"


def decide(cell: dict[Any, Any]) -> str:
    """What a cell's comparison says, in a word or two: why it says nothing, not shown, above or below."""
    if not cell["n_paired"] > 0:
        return NOT_COMPARED
    if math.isnan(cell["difference_low"]):
        return NO_SPREAD
    if cell["lost"]:
        return SURVIVORS
    if cell["n_paired"] < FEWEST_SEEDS:
        return FEW_SEEDS
    if not cell["p_holm"] < LEVEL:
        return NOT_SHOWN
    return "above" if cell["difference"] > 0 else "below"


def _judge(cell: dict[Any, Any]) -> str:
    difference, n, low, high = (cell[name] for name in ("difference", "n_paired", "difference_low", "difference_high"))
    verdict = decide(cell)
    if verdict == NOT_COMPARED:
        return "shares no finished seed with its source only, so nothing is compared"
    if verdict == NO_SPREAD:
        return f"- source only = {fraction(difference)} {_lack_spread(n)}"
    each = " ".join(fraction(float(value)) for value in cell["differences"].split())
    evidence = (
        f"(95 % interval {fraction(low)} to {fraction(high)}, paired t-test {p_value(cell['p_value'])}, "
        f"{p_value(cell['p_holm'])} after Holm, n = {n:.0f} seeds: {each})"
    )
    if verdict == SURVIVORS:
        return f"- source only = {fraction(difference)}, survivors only, so nothing is claimed {evidence}"
    if verdict == FEW_SEEDS:
        return f"- source only = {fraction(difference)}, with fewer than {FEWEST_SEEDS} seeds no verdict {evidence}"
    if verdict == NOT_SHOWN:
        return f"is not shown to differ from source only: {fraction(difference)} {evidence}{_more_seeds(cell)}"
    return f"is {verdict} source only by {fraction(abs(difference))} {evidence}"


def describe_gapless(cells: pd.DataFrame) -> list[str]:
    """A line that says of which pairs there is no gap although the methods share seeds with both anchors, if any.

    Args:
        cells: of `summarise`, joined with `compare`.
    """
    gapless = cells[(cells["n_gap"] > 0) & cells["gap_covered"].isna()]
    titles = dict.fromkeys(title_pair(*both) for both in zip(gapless["pair_title"], gapless["recipe"], strict=True))
    apart = f"{title_method(LOWER)} and {title_method(UPPER)} are less than {fraction(SMALLEST_GAP)} apart"
    return [f"no gap where {apart}: {', '.join(titles)}"] * bool(titles)


def _lack_spread(n: float) -> str:
    return f"with {'one seed' if n == 1 else f'each of {n:.0f} seeds'}: no spread, so no test"


def _more_seeds(cell: dict[Any, Any]) -> str:
    more = cell["n_required"] - cell["n_paired"]
    if not more > 0:
        return ""
    told = f"{more:.0f}" if more < 1000 else "at least 1,000"
    return f"; to show such a difference four times in five takes {told} seeds more"  # the power


def p_value(value: float) -> str:
    """A p-value as it is printed.

    >>> p_value(0.0004), p_value(0.0312)
    ('p < .001', 'p = .031')
    """
    return "p < .001" if value < 0.001 else f"p = {fraction(value)}"


def put_pairs_into_words(pairs: pd.DataFrame) -> list[str]:
    """One sentence a method on the mean over its pairs.

    Args:
        pairs: of `compare`.
    """
    lines = []
    for row in pairs.to_dict("records"):
        subject = f"mean over {row['pairs']} pairs{f' ({recipe})' if (recipe := row['recipe']) else ''}"
        line = f"{subject}: {title_method(row['method'], row['variant'])} - source only = {fraction(row['difference'])}"
        if math.isnan(row["p_value"]):
            line += f" {_lack_spread(row['n_paired'])}"
        else:
            low, high, p, holm = (row[name] for name in ("difference_low", "difference_high", "p_value", "p_holm"))
            line += ", survivors only, so nothing is claimed" * bool(row["lost"])
            line += f" (95 % interval {fraction(low)} to {fraction(high)}, paired t-test {p_value(p)}, {p_value(holm)} "
            line += f"after Holm, n = {row['n_paired']} seeds that all pairs have)"
        if not math.isnan(row["wilcoxon_p"]):
            line += f"; do pairs agree? Wilcoxon {p_value(row['wilcoxon_p'])}"
            line += ", exploratory: pairs share domains" if row["exploratory"] else ""
        lines.append(line)
    return lines
