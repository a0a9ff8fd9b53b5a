"""Signals that ask a training to stop: noted, so that it writes its checkpoint at the next step and ends by itself."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Ctrl-C; what a cluster sends before it takes a node away; what a closed terminal sends.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def told_to_stop(*, insistent: bool = False) -> Iterator[Callable[[], bool]]:
    """Give a function that says whether one of the signals has come.

    Outside the main thread, which alone can receive signals, none comes.

    Args:
        insistent: Whether a second Ctrl-C acts as ever.
    """
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told.is_set
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, frame: object) -> None:
        told.set()
        if insistent and number == signal.SIGINT:
            signal.signal(number, before[signal.SIGINT] or signal.SIG_DFL)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, note)
    try:
        yield told.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
