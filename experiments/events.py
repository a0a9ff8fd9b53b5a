"""What happens while runs are trained, for whoever shows or delivers it."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """Something that happened to a run, or to several that are trained as one program.

    Attributes:
        name: "started", "logged", "saved" or "ended" of all of them; "diagnosed", "finished" or "failed" of one;
            "in use" where another process has them.
        step: updates of the weights so far.
        values: what was logged (means over the runs), or the single numbers of a finished run.
        message: the doctor's sentence, or why it failed.
        run: hash of the one run that it is about.
        bundle: name of the bundle that it is about.
    """

    name: str
    step: int = 0
    values: dict[str, float] = field(default_factory=dict)
    message: str = ""
    run: str = ""
    bundle: str = ""


Report = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The report that nobody reads."""
