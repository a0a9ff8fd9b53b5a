"""Numbers that others have published, a file a source, beside ours."""

import math
from functools import cache
from pathlib import Path

import pandas as pd
from scipy import stats

from results.cells import CELL, name_uses

COLUMNS = ["pair", "method", "accuracy", "sd", "seeds", "network", "selection", "source", "where", "certainty"]
COMPARED = [
    *CELL,
    "pair_title",
    "target_labels",
    "ours",
    "low",
    "high",
    "published",
    "difference",
    "covered",
    "source",
    "about",
]


@cache
def read_published() -> pd.DataFrame:
    """Every published accuracy, one a row: the columns `COLUMNS`.

    accuracy and sd are fractions of the target test split, sd and seeds NaN where none is printed. certainty says how
    the number was come by: read in two places, in one primary place, or in another publication. The text columns are
    never empty.
    """
    files = sorted(Path(__file__).parent.glob("*.csv"))
    return pd.concat([pd.read_csv(path)[COLUMNS] for path in files], ignore_index=True)


def compare_published(
    cells: pd.DataFrame, published: pd.DataFrame, whole: tuple[str, str] | None = None, level: float = 0.05
) -> pd.DataFrame:
    """Our means beside what was published for the same pair and method.

    Args:
        cells: of `summarise`.
        published: of `read_published`. Of several selections of one source ours is taken, or else the first.
        whole: beginning of source and of where of a table of which the rows without a cell are shown, too.
        level: 1 - coverage of the interval.

    Returns:
        One row a cell and source: the columns of `CELL`, pair_title, target_labels; ours (mean target accuracy), low
        and high (95 % t interval of the mean over seeds, NaN for one seed), published, difference (ours - published),
        covered (yes, no, or empty without an interval), source (with table) and about (network, selection, certainty).
    """
    merged = cells.merge(published, on=["pair", "method"], suffixes=("", "_theirs"))
    merged["other"] = merged["selection_theirs"] != merged["selection"]
    merged = merged.sort_values("other", kind="stable").drop_duplicates([*CELL, "source", "network"]).sort_index()
    rows = []
    for row in merged.to_dict("records"):
        n, mean = row["n"], row["target_accuracy"]
        half = stats.t.isf(level / 2, n - 1) * row["target_accuracy_sd"] / math.sqrt(n) if n > 1 else math.nan
        covered = "" if math.isnan(half) else "yes" if abs(mean - row["accuracy"]) <= half else "no"
        spread = "" if math.isnan(row["sd"]) else f"; printed with ± {row['sd']:.3f}"
        about = f"network: {row['network']}; selection: {row['selection_theirs']}; {row['certainty']}{spread}"
        difference = mean - row["accuracy"]
        source = f"{row['source']}, {row['where']}"
        numbers = (mean, mean - half, mean + half, row["accuracy"], difference, covered, source, about)
        rows.append((*(row[name] for name in CELL), row["pair_title"], row["target_labels"], *numbers))
    compared = pd.DataFrame(rows, columns=COMPARED)
    if whole is None:
        return compared
    every = pd.concat([frame for frame in (compared, _missing(cells, published, *whole)) if len(frame)])
    return every.sort_values("pair", kind="stable", ignore_index=True)


def _missing(cells: pd.DataFrame, published: pd.DataFrame, source: str, where: str) -> pd.DataFrame:
    # The rows of a published table that no cell stands beside; without numbers of ours.
    theirs = published[published["source"].str.startswith(source) & published["where"].str.startswith(where)]
    theirs = theirs.drop_duplicates(["pair", "method", "network"])  # of several selections the first
    ours = set(zip(cells["pair"], cells["method"], strict=True))
    titles = dict(zip(cells["pair"], cells["pair_title"], strict=True))
    rows = [
        {"pair": row["pair"], "recipe": "", "method": row["method"], "variant": "", "covered": "no run"}
        | {"pair_title": titles.get(row["pair"], row["pair"].replace("_to_", " → ")), "published": row["accuracy"]}
        | {"target_labels": name_uses(row["method"], row["selection"])}
        | {"source": f"{row['source']}, {row['where']}"}
        | {"about": f"network: {row['network']}; selection: {row['selection']}; {row['certainty']}"}
        for row in theirs.to_dict("records")
        if (row["pair"], row["method"]) not in ours
    ]
    return pd.DataFrame(rows, columns=COMPARED)
