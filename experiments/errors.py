"""Errors that a person caused and can mend: reported as one line, without a traceback."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches

OURS = ("experiments", "datasets", "sweeps", "results")


class BadInput(ValueError):
    """An option, name or file that cannot be used; the message names it, its value and what is allowed."""


class NonFiniteLoss(RuntimeError):
    """A loss became infinite or NaN; the message names step, alpha and pair."""


class RunInUse(RuntimeError):
    """Another process is training this very run."""


class WorkerDied(RuntimeError):
    """A worker process ended without saying why; its own last words are on stderr."""


def is_ours(error: BaseException) -> bool:
    """Whether this project raised the error for a person to mend; anything else is a bug and keeps its traceback."""
    return isinstance(error, Exception) and type(error).__module__.split(".")[0] in OURS


def run_command(main: Callable[[list[str]], int], arguments: Sequence[str]) -> int:
    """The exit code of `main(arguments)`; what a person can mend becomes one line on stderr."""
    try:
        exit_code = main(list(arguments))
        sys.stdout.flush()
        return exit_code
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _is_left():
            return 1
        if not is_ours(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _is_left() -> bool:
    # Whether stdout is what broke: head has seen enough, or a pager was left. What is still to come then goes nowhere.
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def unknown(what: str, name: str, allowed: Iterable[str]) -> BadInput:
    """The error for a name that does not exist, with the nearest one that does."""
    allowed = sorted(allowed)
    near = get_close_matches(name, allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return BadInput(f"unknown {what} {name!r}: {hint}allowed are {', '.join(allowed)}")
