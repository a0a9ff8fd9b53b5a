"""Numbers for other programs: every digit, below comments that `pandas.read_csv(path, comment="#")` leaves out."""

import pandas as pd

from results.words import title_method

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render_csv(frame: pd.DataFrame, comments: list[str]) -> str:
    """The frame, tidy as it is; text that a spreadsheet would run as a formula gets a blank before it."""
    lines = "".join(f"# {' '.join(line.split())}\n" for line in comments)
    safe = frame.copy()
    for column in frame.select_dtypes(include=["object", "string"]):
        safe[column] = [
            f" {value}" if isinstance(value, str) and value.startswith(_FORMULA) and not _is_numbers(value) else value
            for value in frame[column]
        ]
    return lines + safe.to_csv(index=False, lineterminator="\n")


def _is_numbers(text: str) -> bool:
    try:
        return bool([float(word) for word in text.split()])
    except ValueError:
        return False


def pivot(cells: pd.DataFrame) -> pd.DataFrame:
    """Mean target accuracies as papers print them: a row a method and variant, a column a pair and recipe."""
    named = pd.DataFrame(
        {
            "method": [title_method(*names) for names in zip(cells["method"], cells["variant"], strict=True)],
            "column": (cells["pair"] + " " + cells["recipe"]).str.rstrip(),
            "target_labels": cells["target_labels"],
            "target_accuracy": cells["target_accuracy"],
        }
    )
    wide = named.pivot(index=["method", "target_labels"], columns="column", values="target_accuracy")
    order = {name: place for place, name in enumerate(dict.fromkeys(named["method"]))}
    return wide.sort_index(level="method", key=lambda index: index.map(order)).reset_index().rename_axis(columns=None)
