"""What must be known to read a table: where it comes from, how it was made, and what is not in it."""

from collections.abc import Iterable, Mapping

import pandas as pd

from experiments.record import names
from experiments.validators import LAST
from results.cells import CELL, LOWER, TARGET, UPPER, is_shared
from results.provenance import PROVENANCE
from results.reading import FINISHED
from results.statistics import match_anchors
from results.words import MARK, count_seeds, title_cell, title_method, title_pair

MOST_TOLD = 4  # parameters of a pair
MOST_COMMANDS = 4  # behind a table
NO_TEST_SPLIT = "the same target samples"  # in the protocol of a pair whose target has none


def describe_origin(runs: pd.DataFrame, command: str) -> str:
    """Commit, date, n, hardware and commands behind a table, in one line.

    Args:
        runs: one row a run, with the columns of `name_cells`.
        command: what built the table.
    """
    finished = runs[runs["status"] == FINISHED]
    commits = " ".join(commit[:12] for commit in _all(finished, names.COMMIT))
    clean = _all(finished, names.DIRTY) == ["false"]
    days = sorted({f"{day:%Y-%m-%d}" for day in finished["end"]})
    commands = [f"`{line}`" for line in [*_all(finished, names.COMMAND), command]]
    if len(commands) > MOST_COMMANDS:
        commands = [f"{len(commands) - 1} commands", commands[-1]]
    parts = [
        f"commit {commits}" + ("" if clean else " with uncommitted changes"),
        days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
        count_seeds(finished.groupby(CELL).size()),
        " and ".join(_all(finished, names.HARDWARE)),
        " and ".join(commands),
    ]
    return " ".join("; ".join(parts).split())


def describe_rows(runs: pd.DataFrame, cells: pd.DataFrame, left_out: Mapping[str, int]) -> list[str]:
    """What a reader must know of the rows: selection, use of target labels, protocols, runs that are missing.

    Args:
        runs: one row a run, with the columns of `name_cells`.
        cells: of `summarise`.
        left_out: of `read_runs`.
    """
    selection = cells["selection"].iloc[0]
    step = "the last step" if selection == LAST else f"the evaluation that {selection} chooses"
    lines = [
        "accuracies on the test splits, mean ± sample standard deviation over n seeds; domain loss in nats",
        "gap = (method - source only) / (target only - source only) of the seeds that all three have; "
        "PAD = proxy A-distance of the features",
        f"selection: {selection}; all numbers of a row are of {step}",
    ]
    for use, rows in cells[cells["target_labels"] != "no"].groupby("target_labels"):
        methods = ", ".join(dict.fromkeys(title_method(method) for method in rows["method"]))
        lines.append(f"{MARK} target labels used for {use}: {methods}")
    lines += _describe_recipes(runs)
    protocols = _all(runs, names.PROTOCOL)
    if len(protocols) == 1:
        lines.append(f"protocol: {protocols[0]}")
    else:
        told = [
            (group[f"tag.{names.PAIR_TITLE}"].iloc[-1], protocol)
            for _, group in runs.groupby("pair")
            for protocol in _all(group, names.PROTOCOL)
        ]
        lines += _gather("protocol of", told, runs)
    if any(NO_TEST_SPLIT in protocol for protocol in _all(runs[runs["method"] == UPPER], names.PROTOCOL)):
        lines.append(
            f"{title_method(UPPER)}: where all are measured on {NO_TEST_SPLIT}, it alone is trained on one half of "
            "them and measured on the other"
        )
    return lines + _describe_anchors(runs) + describe_mixtures(runs) + _describe_losses(runs, cells, left_out)


def _describe_recipes(runs: pd.DataFrame) -> list[str]:
    # What all runs of a pair share; what differs stands beside the pair's name.
    words = {
        "network": "network {}",
        "steps": "{} steps",
        "batch_size": "{} samples a step",
        "optimiser": "{}",
        "lr": "lr {}",
    }
    of_pairs = []
    for _, group in runs.groupby("pair"):
        shared = {name: group[f"param.{name}"].unique() for name in words if f"param.{name}" in group}
        told = [words[name].format(values[0]) for name, values in shared.items() if len(values) == 1]
        if told:
            of_pairs.append((group[f"tag.{names.PAIR_TITLE}"].iloc[-1], ", ".join(told)))
    return _gather("recipe of", of_pairs, runs) + describe_own(runs)


def describe_own(runs: pd.DataFrame) -> list[str]:
    """Which parameters of a recipe the methods of a pair have each their own of, and are compared nevertheless."""
    parameters = [name for name in map(str, runs) if name.startswith("param.") and is_shared(name[len("param.") :])]
    of_pairs = []
    for (_, recipe), group in runs.groupby(["pair", "recipe"]):
        differing = [name for name in parameters if group[name].fillna("None").nunique() > 1]
        told = []
        for name in differing[:MOST_TOLD]:
            methods = group.groupby(group[name].fillna("None"))["method"].unique()
            values = (f"{value} ({', '.join(map(title_method, by))})" for value, by in methods.items())
            told.append(f"{name.removeprefix('param.')} {' and '.join(values)}")
        if told:
            more = f"; {len(differing) - MOST_TOLD} more" if len(differing) > MOST_TOLD else ""
            title = title_pair(group[f"tag.{names.PAIR_TITLE}"].iloc[-1], str(recipe))
            of_pairs.append((title, f"{'; '.join(told)}{more}"))
    return _gather("by method on", of_pairs, runs)


def _gather(words: str, told: Iterable[tuple[str, str]], runs: pd.DataFrame) -> list[str]:
    # A line for each text, with all the pairs it is told of.
    titles: dict[str, list[str]] = {}
    for title, text in told:
        titles.setdefault(text, []).append(title)
    recipes, count = len(runs.drop_duplicates(["pair", "recipe"])), runs["pair"].nunique()
    return [
        f"{words} {f'all {count} pairs' if len(set(of)) == count == recipes > 1 else ', '.join(dict.fromkeys(of))}: "
        + text
        for text, of in titles.items()
    ]


def _describe_anchors(runs: pd.DataFrame) -> list[str]:
    # Which methods have no anchor of their own fields, or more than one.
    lines, launched = [], set(runs[["method", "pair", "recipe"]].itertuples(index=False, name=None))
    for cell, anchors in match_anchors(runs):
        for name, lost in ((LOWER, "nothing is compared"), (UPPER, "there is no gap")):
            if len(anchors[name]) != 1 and (name, *cell.iloc[0][["pair", "recipe"]]) in launched:
                title = title_cell(cell.iloc[-1].rename({f"tag.{names.PAIR_TITLE}": "pair_title"}))
                count = len(anchors[name]) or "no"
                lines.append(f"{title}: {count} variants of {title_method(name)} agree with its fields, so {lost}")
    return lines


def describe_mixtures(runs: pd.DataFrame) -> list[str]:
    """Which runs stand apart for where they were made, and which are averaged in spite of it."""
    apart = [name for name in PROVENANCE if runs["recipe"].str.contains(rf"(?:^| ){name}=").any()]
    lines = [f"runs of different {' and '.join(apart)} stand apart; with --mixed they share a cell"] if apart else []
    mixed = []
    for name in PROVENANCE:
        for _, cell in runs[runs["status"] == FINISHED].groupby(["pair", "recipe"]):
            if cell[name].nunique() > 1:
                values = " and ".join(sorted(value or "unknown" for value in cell[name].unique()))
                mixed.append((cell[f"tag.{names.PAIR_TITLE}"].iloc[-1], f"{name} {values}"))
    return lines + _gather("caution: mixed in", mixed, runs)


def _describe_losses(runs: pd.DataFrame, cells: pd.DataFrame, left_out: Mapping[str, int]) -> list[str]:
    lines = [
        f"{cell['n']} of {cell['planned']}, survivors only: {title_cell(cell)}, without "
        f"seed{'s' * (' ' in cell['lost'])} {cell['lost']}"
        for cell in cells[cells["lost"] != ""].to_dict("records")
    ]
    if numberless := int(((runs["status"] == FINISHED) & runs[TARGET].isna()).sum()):
        lines.append(f"{numberless} finished runs have no {TARGET} and are not averaged")
    if left_out:
        lines.append("not in the table: " + ", ".join(f"{count} {reason}" for reason, count in left_out.items()))
    return lines


def _all(runs: pd.DataFrame, tag: str) -> list[str]:
    column = f"tag.{tag}"
    return list(dict.fromkeys(runs[column].dropna())) if column in runs else ["unknown"]
