"""What stands around a table: where it comes from, how it was made, and what it shows."""

import math

import pandas as pd

from experiments import record
from results.cells import CELL, LOWER, UPPER

MARK = "†"


def fraction(value: float) -> str:
    """Three decimals without the leading zero, as the papers print accuracies; empty for NaN.

    >>> fraction(0.5225), fraction(-0.04), fraction(1.0), fraction(float("nan"))
    ('.522', '-.040', '1.000', '')
    """
    if math.isnan(value):
        return ""
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if abs(float(text)) < 1 else text


def title_method(method: str, variant: str = "") -> str:
    """A method as it is printed: the anchors in words, the others, all of them acronyms, in capitals.

    >>> title_method("source_only"), title_method("dann", "alpha=Linear")
    ('source only', 'DANN alpha=Linear')
    """
    title = method.replace("_", " ") if method in (LOWER, UPPER) else method.upper()
    return f"{title} {variant}".rstrip()


def title_pair(pair_title: str, recipe: str) -> str:
    """A pair as it is printed, with what sets its recipe apart."""
    return f"{pair_title} ({recipe})" if recipe else pair_title


def count_seeds(counts: pd.Series) -> str:
    """How many seeds the cells have: "n = 5 seeds"."""
    low, high = int(counts.min()), int(counts.max())
    return f"n = {low if low == high else f'{low} to {high}'} seed{'s' if high > 1 else ''}"


def describe_origin(runs: pd.DataFrame, name: str) -> str:
    """Commit, date, n, hardware and commands behind a table, in one line.

    Args:
        runs: one row a run, with the columns of `name_cells`.
        name: what the table is built from.
    """
    commits = " ".join(commit[:12] for commit in _all(runs, record.COMMIT))
    clean = _all(runs, record.DIRTY) == ["false"]
    days = sorted({f"{day:%Y-%m-%d}" for day in runs["end"]})
    parts = [
        f"commit {commits}" + ("" if clean else " with uncommitted changes"),
        days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
        count_seeds(runs.groupby(CELL).size()),
        " and ".join(_all(runs, record.HARDWARE)),
        " and ".join(f"`{line}`" for line in [*_all(runs, record.COMMAND), f"python -m results build {name}"]),
    ]
    return " ".join("; ".join(parts).split())


def describe_rows(runs: pd.DataFrame, cells: pd.DataFrame, left_out: dict[str, int]) -> list[str]:
    """What a reader must know of the rows: selection, use of target labels, protocols, runs left out.

    Args:
        runs: one row a run, with the columns of `name_cells`.
        cells: of `summarise`.
        left_out: of `read_runs`.
    """
    selections = list(dict.fromkeys(cells["selection"]))
    lines = ["accuracies on the test splits, mean ± sample standard deviation over n seeds; domain loss in nats"]
    lines.append("gap = (method - source only) / (target only - source only); PAD = proxy A-distance of the features")
    lines.append(f"selection of the reported step: {selections[0] if len(selections) == 1 else 'see its column'}")
    for use, rows in cells[cells["target_labels"] != "no"].groupby("target_labels"):
        methods = ", ".join(dict.fromkeys(title_method(method) for method in rows["method"]))
        lines.append(f"{MARK} target labels used for {use}: {methods}")
    protocols = _all(runs, record.PROTOCOL)
    if len(protocols) == 1:
        lines.append(f"protocol: {protocols[0]}")
    for _, group in runs.groupby("pair"):
        title = group[f"tag.{record.PAIR_TITLE}"].iloc[-1]
        if len(protocols) > 1:
            lines += [f"protocol of {title}: {protocol}" for protocol in _all(group, record.PROTOCOL)]
        versions = len(_all(group, record.DATA_FINGERPRINT))
        if versions > 1:
            lines.append(f"caution: the runs of {title} saw {versions} different versions of its data")
    if left_out:
        lines.append("not in the table: " + ", ".join(f"{count} {reason}" for reason, count in left_out.items()))
    return lines


def put_into_words(cells: pd.DataFrame, comparisons: pd.DataFrame) -> list[str]:
    """One sentence a method and pair: is it above source_only, by how much, and how sure is that?

    Args:
        cells: of `summarise`.
        comparisons: of `compare`.
    """
    sentences = []
    compared = cells[~cells["method"].isin([LOWER, UPPER])].merge(comparisons, on=CELL, how="left")
    for cell in compared.to_dict("records"):
        subject = f"{title_pair(cell['pair_title'], cell['recipe'])}: {title_method(cell['method'], cell['variant'])}"
        difference, n, p_value = cell["difference"], cell["n_paired"], cell["p_value"]
        if math.isnan(n):
            sentences.append(f"{subject} shares no seed with a run of source only, so nothing is compared")
        elif n == 1:
            sentences.append(f"{subject} - source only = {fraction(difference)} with one seed: no spread, so no test")
        else:
            evidence = f"95 % interval {fraction(cell['difference_low'])} to {fraction(cell['difference_high'])}"
            evidence += f", paired t-test p {_compared(p_value)}, n = {n:.0f} seeds"
            if p_value < 0.05:
                side = "above" if difference > 0 else "below"
                sentences.append(f"{subject} is {side} source only by {fraction(abs(difference))} ({evidence})")
            else:
                sentences.append(
                    f"{subject} is not shown to differ from source only: {fraction(difference)} ({evidence})"
                )
    return sentences


def _compared(p_value: float) -> str:
    if math.isnan(p_value):
        return "undefined without spread"
    return "< .001" if p_value < 0.001 else f"= {fraction(p_value)}"


def _all(runs: pd.DataFrame, tag: str) -> list[str]:
    column = f"tag.{tag}"
    return list(dict.fromkeys(runs[column].dropna())) if column in runs else ["unknown"]
