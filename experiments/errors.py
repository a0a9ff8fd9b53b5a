"""Errors that a person caused and can mend: reported as one line, without a traceback."""

import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches


class BadInput(ValueError):
    """An option, name or file that cannot be used; the message names it, its value and what is allowed."""


class NonFiniteLoss(RuntimeError):
    """A loss became infinite or NaN; the message names step, alpha and pair."""


class RunInUse(RuntimeError):
    """Another process is training this very run."""


class MemberInUse(RunInUse):
    """Another process is training one of the runs that were to be trained together."""


class WorkerDied(RuntimeError):
    """A worker process ended without saying why; its own last words are on stderr."""


def run_command(main: Callable[[list[str]], int], arguments: list[str]) -> int:
    """The exit code of `main(arguments)`; what a person can mend becomes one line on stderr."""
    try:
        return main(arguments)
    except (ValueError, WorkerDied) as error:  # BadInput, and the errors of grl and datasets
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def unknown(what: str, name: str, allowed: Iterable[str]) -> BadInput:
    """The error for a name that does not exist, with the nearest one that does."""
    allowed = sorted(allowed)
    near = get_close_matches(name, allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return BadInput(f"unknown {what} {name!r}: {hint}allowed are {', '.join(allowed)}")
