"""How often one method is better than another over the pairs of a table: the Poisson binomial test of the papers."""

import itertools

import numpy as np
import pandas as pd
from scipy import stats

from experiments.record import names
from results.cells import UPPER, name_uses
from results.document import Grid
from results.drawing.base import Material
from results.selecting import at_step
from results.words import fraction, title_pair, title_used

PRIOR = 0.5  # Jeffreys', of both outcomes
COLUMNS = ["recipe", "first", "second", "pairs", "probability"]


def tabulate_wins(material: Material) -> tuple[Grid, list[str]]:
    """For each two methods the probability that the first one is better on more pairs."""
    wins = compare_wins(material)
    rows = [
        [row["first"], row["second"], fraction(row["probability"]), str(row["pairs"])]
        for row in wins.to_dict("records")
    ]
    grid = Grid(
        "probability that the first is better on more pairs",
        ["first", "second", "probability", "pairs"],
        rows,
        2,
        [title_pair("Poisson binomial test", recipe) for recipe in wins["recipe"]],
    )
    note = (
        "Poisson binomial test (Lacoste et al. 2012), as in table 1b: on each pair the probability that the first is "
        "the better one, by the test samples that one of both alone gets right, mean over shared seeds; then over all "
        "pairs, half of the pairs counting one half"
    )
    return grid, [note] if rows else []


def compare_wins(material: Material) -> pd.DataFrame:
    """One row for each two methods of a recipe: recipe, first, second, pairs (shared) and probability."""
    runs = material.runs[material.runs["method"] != UPPER]
    right: dict[tuple[str, str], dict[tuple[str, int], np.ndarray]] = {}  # recipe and method -> pair and seed
    for run in runs.assign(run_id=runs.index).to_dict("records"):
        arrays = material.read_evaluations(str(run["run_id"]))
        if arrays is not None and names.TARGET_RIGHT in arrays:
            uses = name_uses(run["method"], run["selection"])
            key = run["recipe"], title_used(run | {"target_labels": uses})
            seen = at_step(arrays, int(run["step"]))
            right.setdefault(key, {})[run["pair"], run["seed"]] = np.unpackbits(seen[names.TARGET_RIGHT]).astype(bool)
    rows = []
    for (recipe, first), (other, second) in itertools.combinations(right, 2):
        if recipe != other:
            continue
        ours, theirs = right[recipe, first], right[recipe, second]
        by_pair: dict[str, list[float]] = {}
        for place in ours.keys() & theirs.keys():
            by_pair.setdefault(place[0], []).append(beat(ours[place], theirs[place]))
        if len(by_pair) > 1:
            chances = [float(np.mean(by_pair[pair])) for pair in sorted(by_pair)]
            rows.append((recipe, first, second, len(chances), win_most(chances)))
    return pd.DataFrame(rows, columns=COLUMNS)


def beat(first: np.ndarray, second: np.ndarray) -> float:
    """Probability that the first classifier's true accuracy is above the second's.

    Of the test samples that one of both alone gets right, the share k / n of the first has the posterior
    Beta(k + 1/2, n - k + 1/2); the probability that it is above 1/2.

    Args:
        first: (N,) bool, what it gets right.
        second: (N,) bool, the same samples.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return float(stats.beta.sf(0.5, only_first + PRIOR, only_second + PRIOR))


def win_most(chances: list[float]) -> float:
    """Probability of more wins than losses where each is won with its own probability; as many of both count one half.

    >>> round(win_most([0.9, 0.9, 0.2]), 3), win_most([0.5, 0.5])
    (0.846, 0.5)
    """
    wins = np.ones(1)  # of 0, 1, … pairs
    for chance in chances:
        wins = np.convolve(wins, [1 - chance, chance])
    half = len(chances) / 2
    counts = np.arange(len(wins))
    return float(wins[counts > half].sum() + wins[counts == half].sum() / 2)
