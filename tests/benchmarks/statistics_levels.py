"""Do the intervals and p-values of a table keep their level? Simulated, beside what was printed before.

    python -m tests.benchmarks.statistics_levels [REPETITIONS]

Coverage of 95 % intervals should read .950, the family-wise error .050. `before` is the percentile bootstrap that the
first tables used. A collapsed seed is one of ten whose accuracy is .3 lower, which no interval for a mean of so few
survives: that is why the seeds' values are printed beside it.
"""

import sys
from collections.abc import Callable

import numpy as np
import pandas as pd

from results.across import KEY, average_pairs
from results.gap import cover_gap
from results.paired import estimate_paired
from results.statistics import holm

SEEDS = (3, 5, 10)
SD, COLLAPSE, SHARE = 0.03, -0.3, 0.1


def bootstrap(differences: np.ndarray, random: np.random.Generator, resamples: int = 1000) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean."""
    chosen = random.integers(len(differences), size=(resamples, len(differences)))
    low, high = np.quantile(differences[chosen].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def normal(random: np.random.Generator, n: int) -> np.ndarray:
    """Differences (n,) of mean 0."""
    return random.normal(0, SD, n)


def collapsing(random: np.random.Generator, n: int) -> np.ndarray:
    """The same, where a seed in ten collapses; of mean 0."""
    return random.normal(0, SD, n) + COLLAPSE * (random.random(n) < SHARE) - COLLAPSE * SHARE


def cover_mean(draw: Callable[[np.random.Generator, int], np.ndarray], n: int, repetitions: int) -> tuple[float, float]:
    """Coverage of a mean of 0: before, now."""
    random = np.random.default_rng(n)
    hits = np.zeros(2)
    for _ in range(repetitions):
        differences = draw(random, n)
        now = estimate_paired(differences, np.zeros(n))
        hits += [low <= 0 <= high for low, high in (bootstrap(differences, random), (now.low, now.high))]
    return tuple(hits / repetitions)


def err_in_a_family(methods: int, n: int, repetitions: int) -> tuple[float, float, float]:
    """Share of tables with a false claim where no method differs: bootstrap, raw p, Holm's p."""
    random = np.random.default_rng(0)
    wrong = np.zeros(3)
    for _ in range(repetitions):
        lower = random.normal(0.5, SD, n)
        tables = random.normal(0.5, SD, (methods, n))
        raw = np.array([estimate_paired(values, lower).p_value for values in tables])
        intervals = [bootstrap(values - lower, random) for values in tables]
        wrong += [any(low > 0 or high < 0 for low, high in intervals), (raw < 0.05).any(), (holm(raw) < 0.05).any()]
    return tuple(wrong / repetitions)


def cover_average(repetitions: int) -> float:
    """Coverage of the interval over four pairs of unequal spread, five seeds, that share a part of their noise."""
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(repetitions):
        shared = random.normal(0, SD, 5)
        rows = [
            (f"a{pair}_to_b{pair}", "", "dann", "", seed, shared[seed] + random.normal(mean, sd))
            for pair, (sd, mean) in enumerate(((0.01, 0.0), (0.1, 0.2), (0.03, -0.1), (0.02, -0.1)))
            for seed in range(5)
        ]
        columns = ["pair", *KEY, "seed", "difference"]
        [row] = average_pairs(pd.DataFrame(rows, columns=columns)).to_dict("records")
        hits += row["difference_low"] <= 0 <= row["difference_high"]
    return hits / repetitions


def cover_ratio(n: int, gap: float, repetitions: int) -> tuple[float, float]:
    """Coverage of a gap of one half by Fieller's interval, among those that have one; and the share that has."""
    random = np.random.default_rng(n)
    hits = told = 0
    for _ in range(repetitions):
        lower, method, upper = (random.normal(mean, SD, n) for mean in (0.5, 0.5 + gap / 2, 0.5 + gap))
        _, low, high = cover_gap(method - lower, upper - lower)
        told += not np.isnan(low)
        hits += low <= 0.5 <= high
    return hits / max(told, 1), told / repetitions


def main(repetitions: int = 2000) -> None:
    print(f"{repetitions} repetitions; sd of a difference {SD}")
    print("\ncoverage of a mean difference        before    now")
    for name, draw in (("normal", normal), ("a seed in ten collapses", collapsing)):
        for n in SEEDS:
            before, now = cover_mean(draw, n, repetitions)
            print(f"  {name:<24} n = {n:<3}    {before:.3f}   {now:.3f}")
    print("\nfamily-wise error, n = 5             before  raw p   Holm")
    for methods in (1, 3, 16):
        rates = err_in_a_family(methods, 5, repetitions)
        print(f"  {methods:>2} comparisons                      {'   '.join(f'{rate:.3f}' for rate in rates)}")
    print(f"\ncoverage of the mean over four pairs: {cover_average(repetitions):.3f}")
    print("\ncoverage of gap_covered              covered  has an interval")
    for n in SEEDS:
        for gap in (0.05, 0.3):
            covered, told = cover_ratio(n, gap, repetitions)
            print(f"  anchors {gap:.2f} apart, n = {n:<3}           {covered:.3f}   {told:.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
