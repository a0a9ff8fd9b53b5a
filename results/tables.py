"""Cells as a person reads them: in the terminal, in Markdown, in CSV, and in words."""

import math

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from experiments import record
from results.statistics import CELL, LOWER, UPPER

_HEADINGS = (
    "method",
    "target accuracy",
    "n",
    "source accuracy",
    "gap covered",
    "domain loss",
    "A-distance",
    "selection",
)
_MARK = "†"


def describe_origin(runs: pd.DataFrame, name: str) -> str:
    """Commit, date, n, hardware and commands behind a table, in one line without a line break.

    Args:
        runs: one row a run, with the columns of `name_cells`.
        name: what the table is built from.
    """
    dirty = _all(runs, record.DIRTY) != ["false"]
    counts = runs.groupby(CELL).size()
    n = str(counts.min()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    days = sorted({f"{day:%Y-%m-%d}" for day in runs["end"]})
    return "; ".join(
        [
            f"commit {' '.join(commit[:12] for commit in _all(runs, record.COMMIT))}"
            + (" with uncommitted changes" if dirty else ""),
            days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
            f"n = {n} seeds",
            " and ".join(_all(runs, record.HARDWARE)),
            " and ".join(
                f"`{command}`" for command in [*_all(runs, record.COMMAND), f"python -m results build {name}"]
            ),
        ]
    ).replace("\n", " ")


def describe_protocols(runs: pd.DataFrame) -> list[str]:
    """One sentence a pair: what is trained on and where accuracy is measured; a second one if its data changed between runs."""
    lines = []
    for _, group in runs.groupby("pair"):
        title = group[f"tag.{record.PAIR_TITLE}"].iloc[-1]
        lines += [f"{title}: {protocol}" for protocol in _all(group, record.PROTOCOL)]
        versions = _all(group, record.DATA_FINGERPRINT)
        if len(versions) > 1:
            lines.append(f"{title}: CAUTION, these runs saw {len(versions)} different versions of the data")
    return lines


def describe_left_out(left_out: dict[str, int]) -> str:
    """Which runs are not in the table; empty if all are."""
    if not left_out:
        return ""
    return "not in the table: " + ", ".join(f"{count} {status}" for status, count in left_out.items())


def put_into_words(cells: pd.DataFrame, comparisons: pd.DataFrame) -> list[str]:
    """One sentence a method and pair: is it above source_only, by how much, and how sure is that?

    Args:
        cells: of `summarise`.
        comparisons: of `compare`.
    """
    sentences = []
    for cell in cells[~cells["method"].isin((LOWER, UPPER))].to_dict("records"):
        place = " ".join(filter(None, (cell["pair_title"], cell["recipe"] and f"({cell['recipe']})")))
        method = " ".join(filter(None, (cell["method"], cell["variant"])))
        same = (comparisons[CELL] == pd.Series({key: cell[key] for key in CELL})).all(axis=1)
        if not same.any():
            sentences.append(f"{place}: {method} shares no seed with a {LOWER} run, so nothing is compared.")
            continue
        found = comparisons[same].iloc[0]
        difference, n = f"{found['difference']:+.3f}".replace("0.", ".", 1), int(found["n_paired"])
        if n == 1:
            sentences.append(f"{place}: {method} - {LOWER} = {difference} with one seed; no spread, so no test.")
            continue
        p_value = found["p_value"]
        evidence = f"95 % interval {fraction(found['difference_low'])} to {fraction(found['difference_high'])}"
        evidence += f", paired t-test p {_p(p_value)}, n = {n} seeds"
        if p_value < 0.05:
            verdict = f"is {'above' if found['difference'] > 0 else 'BELOW'} {LOWER}"
        else:
            verdict = f"is NOT shown to differ from {LOWER}"
        sentences.append(f"{place}: {method} {verdict}, difference {difference} ({evidence}).")
    return sentences


def render_console(cells: pd.DataFrame, title: str) -> Table:
    """The table for a terminal; a pair is a line of its own, so that 80 columns are enough."""
    table = Table(title=title, box=SIMPLE_HEAD, title_style="bold", title_justify="left", padding=(0, 1, 0, 0))
    for heading in _HEADINGS:
        table.add_column(heading.replace(" ", "\n"), justify="left" if heading in ("method", "selection") else "right")
    for (_, recipe), group in cells.groupby(["pair", "recipe"], sort=False):
        table.add_section()
        table.add_row(Text(" ".join(filter(None, (group["pair_title"].iloc[0], recipe))), style="bold"))
        for cell in group.to_dict("records"):
            table.add_row(*_printed(cell))
    table.caption, table.caption_justify = _footnote(cells), "left"
    return table


def render_markdown(cells: pd.DataFrame, origin: str, below: list[str]) -> str:
    """The table as a file: origin in its first line, the sentences of `below` under it."""
    recipes = cells["recipe"].any()
    headings = ["pair", *(["recipe"] if recipes else []), *_HEADINGS]
    aligned = ["---" if heading in ("pair", "recipe", "method", "selection") else "---:" for heading in headings]
    rows = [headings, aligned]
    rows += [
        [cell["pair_title"], *([cell["recipe"]] if recipes else []), *_printed(cell)]
        for cell in cells.to_dict("records")
    ]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([f"*{origin}*", "", *lines, "", _footnote(cells), "", *[f"- {line}" for line in below]]) + "\n"


def render_csv(cells: pd.DataFrame, comparisons: pd.DataFrame, origin: str, protocols: list[str]) -> str:
    """Every number with all its digits; lines that start with # are comments: `pandas.read_csv(path, comment="#")`."""
    merged = cells.merge(comparisons, on=CELL, how="left") if len(comparisons) else cells
    if "n_paired" in merged:
        merged["n_paired"] = merged["n_paired"].astype("Int64")
    comments = [f"# {line}\n" for line in (origin, *protocols)]
    return "".join(comments) + merged.to_csv(index=False, lineterminator="\n")


def fraction(value: float) -> str:
    """Three decimals without the leading zero, as the papers print accuracies; empty for NaN.

    >>> fraction(0.5225), fraction(-0.04), fraction(1.0), fraction(float("nan"))
    ('.522', '-.040', '1.000', '')
    """
    if math.isnan(value):
        return ""
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if abs(float(text)) < 1 else text


def _printed(cell: dict) -> list[str]:
    name = " ".join(filter(None, (cell["method"], cell["variant"])))
    spread = [
        " ± ".join(filter(None, (fraction(cell[number]), fraction(cell[f"{number}_sd"]))))
        for number in ("target_accuracy", "source_accuracy")
    ]
    return [
        name if cell["target_labels"] == "no" else f"{name} {_MARK}",
        spread[0],
        str(cell["n"]),
        spread[1],
        *(fraction(cell[number]) for number in ("gap_covered", "domain_loss", "proxy_a_distance")),
        cell["selection"],
    ]


def _footnote(cells: pd.DataFrame) -> str:
    parts = ["Accuracies on the test splits: mean ± sample standard deviation over n seeds."]
    parts.append("selection: how the reported step was chosen.")
    for use, rows in cells[cells["target_labels"] != "no"].groupby("target_labels"):
        parts.append(f"{_MARK} target labels used for {use} ({', '.join(dict.fromkeys(rows['method']))}).")
    return " ".join(parts)


def _p(value: float) -> str:
    if math.isnan(value):
        return "undefined (no spread)"
    return "< .0001" if value < 0.0001 else "= " + f"{value:.4f}".removeprefix("0")


def _all(runs: pd.DataFrame, tag: str) -> list[str]:
    column = f"tag.{tag}"
    return list(dict.fromkeys(runs[column].dropna())) if column in runs else ["unknown"]
