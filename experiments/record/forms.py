"""What our own JSON files hold, so that anything else is said where it is read and not where it is used."""

from typing import Any

from experiments.record.names import DELIVERIES, PROGRESS, RESULT, RUN, STATUS

# A form is a type, a list of one form, or a dict of forms by key; `...` stands for every other key.
_NUMBERS, _TEXTS = {...: float}, {...: str}
_DATASET = {"domain": str, "role": str, "labels": bool, "count": int, "shape": [int], "dtype": str}
POINT = {"step": int, "time_ms": int, "values": _NUMBERS}
FORMS: dict[str, Any] = {
    RUN: {
        "hash": str,
        "title": str,
        "experiment": dict,
        "params": _TEXTS,
        "datasets": [_DATASET],
        "tags": _TEXTS,
        "started_ms": int,
    },
    STATUS: {"status": str, "points": int, "message": str, "time_ms": int},
    RESULT: {"metrics": _NUMBERS, "last": _NUMBERS, "weights_sha256": str, "health": {"status": str, "report": str}},
    PROGRESS: {"step": int, "values": _NUMBERS},
    DELIVERIES: {...: {"run_id": (str, type(None)), "points": int, "status": (str, type(None))}},
}
"""By file; whoever reads one says which of its keys are needed."""


def find_misfit(value: Any, form: Any, path: str = "it") -> str:
    """What is wrong with a value, in words; empty if it has the form.

    Every key of an inner dict must be there, and integers are those that a database can hold and count something.
    """
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return f"{path} is {_show(value)}, not an object"
        inner = {key: form[...] for key in value} if ... in form else form
        if missing := [key for key in inner if key not in value]:
            return f"{path} lacks {', '.join(missing)}"
        return next(
            filter(None, (find_misfit(value[key], each, f"{path}[{key!r}]") for key, each in inner.items())), ""
        )
    if isinstance(form, list):
        if not isinstance(value, list):
            return f"{path} is {_show(value)}, not a list"
        misfits = (find_misfit(each, form[0], f"{path}[{place}]") for place, each in enumerate(value))
        return next(filter(None, misfits), "")
    kinds = (int, float) if form is float else form
    if not isinstance(value, kinds) or (isinstance(value, bool) and form is not bool):
        return f"{path} is {_show(value)}"
    return f"{path} is {_show(value)}" if form is int and not 0 <= value < 2**63 else ""


def _show(value: Any) -> str:
    return repr(value)[:40] if isinstance(value, (int, float, str)) or value is None else f"a {type(value).__name__}"
