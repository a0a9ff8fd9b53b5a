"""Figure of a whole table: critical-difference diagram of the methods' ranks over pairs (Demšar 2006)."""

import math
from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from results.cells import UPPER
from results.drawing.base import GREY, Material, styled
from results.words import p_value, title_method

FEWEST_METHODS, FEWEST_PAIRS = 3, 3


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """Mean ranks over pairs, the best left; what is not told apart by Nemenyi's test stands on one bar."""
    cells = material.cells[material.cells["method"] != UPPER]
    for recipe, group in cells.groupby("recipe"):
        named = group.assign(name=[title_method(*cell) for cell in zip(group["method"], group["variant"], strict=True)])
        scores = named.pivot(index="pair", columns="name", values="target_accuracy").dropna(axis="columns")
        if len(scores) >= FEWEST_PAIRS and len(scores.columns) >= FEWEST_METHODS:
            yield f"{recipe} ranks".lstrip(), draw_ranks(scores)


def rank(scores: pd.DataFrame, level: float = 0.05) -> tuple[pd.Series, float, float]:
    """Mean ranks, Friedman's p, and Nemenyi's critical difference of two mean ranks.

    CD = q / sqrt(2) · sqrt(k (k + 1) / (6 N)) with the quantile q of the studentised range of k methods and N pairs.

    Args:
        scores: a row a pair, a column a method; the larger the better.
        level: of Nemenyi's test.
    """
    pairs, methods = scores.shape
    ranks = scores.rank(axis="columns", ascending=False).mean().sort_values()
    friedman = stats.friedmanchisquare(*(scores[name] for name in scores)).pvalue
    quantile = stats.studentized_range.isf(level, methods, math.inf)
    return ranks, float(friedman), float(quantile / math.sqrt(2) * math.sqrt(methods * (methods + 1) / (6 * pairs)))


def list_cliques(ranks: pd.Series, critical: float) -> list[tuple[float, float]]:
    """From the best to the worst mean rank of each largest group whose ends are not told apart."""
    values = ranks.to_list()
    reach = [max(other for other in values if other - value < critical) for value in values]
    ends = [(value, end) for value, end in zip(values, reach, strict=True) if end > value]
    return [(low, high) for low, high in ends if not any(a < low and b >= high for a, b in ends)]


def draw_ranks(scores: pd.DataFrame) -> Figure:
    """The diagram of one recipe; `scores` as in `rank`."""
    ranks, friedman, critical = rank(scores)
    with styled():
        figure = Figure(figsize=(9, 1.9 + 0.16 * len(ranks)), layout="constrained")
        axis = figure.subplots()
        axis.set_xlim(-0.4, len(ranks) + 1.4)
        half = (len(ranks) + 1) // 2
        cliques = list_cliques(ranks, critical)
        below = 0.3 + 0.25 * len(cliques)
        for place, (name, value) in enumerate(ranks.items()):
            depth = below + 0.6 * (1 + (place if place < half else len(ranks) - 1 - place))
            side = 0.7 if place < half else len(ranks) + 0.3
            axis.plot([value, value, side], [0, -depth, -depth], color=GREY, linewidth=1)
            axis.text(side, -depth, f" {name} ({value:.2f}) ", ha="right" if place < half else "left", va="center")
        for row, (low, high) in enumerate(cliques):
            axis.plot([low - 0.03, high + 0.03], [-0.25 * (1 + row)] * 2, color="black", linewidth=3.5)
        axis.set_ylim(-below - 0.6 * half - 0.4, 0)
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.spines["top"].set_visible(True)
        axis.spines["top"].set_bounds(1, len(ranks))
        axis.xaxis.tick_top()
        axis.set_xticks(range(1, len(ranks) + 1))
        axis.set_yticks([])
        axis.grid(False)
        figure.suptitle(
            f"mean rank of target accuracy over {len(scores)} pairs; Friedman {p_value(friedman)}; bars: not told "
            f"apart (Nemenyi, critical difference {critical:.2f}); exploratory where pairs share domains",
            x=0.01, ha="left", fontsize=9.5, wrap=True,
        )  # fmt: skip
    return figure
