"""Errors that a person caused and can mend: reported as one line, without a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class BadInput(ValueError):
    """An option, name or file that cannot be used; the message names it, its value and what is allowed."""


class NonFiniteLoss(RuntimeError):
    """A loss became infinite or NaN; the message names step, alpha and pair."""


class RunInUse(RuntimeError):
    """Another process is training this very run."""


def unknown(what: str, name: str, allowed: Iterable[str]) -> BadInput:
    """The error for a name that does not exist, with the nearest one that does."""
    allowed = sorted(allowed)
    near = get_close_matches(name, allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return BadInput(f"unknown {what} {name!r}: {hint}allowed are {', '.join(allowed)}")
