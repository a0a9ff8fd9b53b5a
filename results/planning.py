"""What a table consists of, what of it is there, and the command that makes the rest.

Recipes need PyTorch, which nothing here imports: `python -m experiments` is asked in a process of its own.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from experiments.errors import BadInput, unknown
from experiments.record import names
from experiments.record.files import read_json
from experiments.record.folder import folder_of, is_finished, read_status
from results.catalogue import TABLES

BUDGETS = {"quick": 3, "full": 10}  # seeds: a look, and enough for a claim
STATES = ("finished", "failed", "killed", "running", "missing")


@dataclass(frozen=True)
class Planned:
    """One run of a table."""

    hash: str
    title: str
    status: str
    """Of `STATES`."""
    train_time_s: float | None = None
    """Of a finished run."""

    @property
    def kind(self) -> str:
        """The title without the seed: runs of one kind take about as long."""
        return re.sub(r" seed \d+", "", self.title)


def read_plan(name: str, options: Sequence[str] = ()) -> list[Planned]:
    """The runs that `python -m experiments run NAME OPTIONS` stands for, and how far each is.

    Raises:
        BadInput: the name or an option is none; as `experiments` says it.
    """
    command = [sys.executable, "-m", "experiments", "show", name, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise BadInput(lines[-1].removeprefix("error: "))
    listed = re.findall(r"^([0-9a-f]{16})  (.+)$", done.stdout, re.MULTILINE)
    single = re.findall(r"^hash +([0-9a-f]{16})$", done.stdout, re.MULTILINE)
    return [_look(hash, title) for hash, title in listed or [(hash, name) for hash in single]]


def _look(hash: str, title: str) -> Planned:
    folder = folder_of(hash)
    if is_finished(folder):
        metrics = (read_json(folder / names.RESULT, needs=("metrics",)) or {"metrics": {}})["metrics"]
        return Planned(hash, title, "finished", metrics.get(names.TRAIN_TIME_S))
    status = read_status(folder)
    return Planned(hash, title, status["status"].lower() if status else "missing")


def describe_plan(plan: Sequence[Planned]) -> list[str]:
    """One line a kind of run, how long the rest takes, and where that is known from."""
    lines = []
    known: dict[str, list[float]] = {}
    for run in plan:
        if run.train_time_s is not None:
            known.setdefault(run.kind, []).append(run.train_time_s)
    for kind in dict.fromkeys(run.kind for run in plan):
        runs = [run for run in plan if run.kind == kind]
        counts = {status: sum(run.status == status for run in runs) for status in STATES}
        time = f", {median(known[kind]):.0f} s a run" if kind in known else ""
        lines.append(f"{kind}: {', '.join(f'{count} {status}' for status, count in counts.items() if count)}{time}")
    rest = [run for run in plan if run.status != "finished"]
    if not rest:
        return [*lines, f"all {len(plan)} runs are finished"]
    told = [median(known[run.kind]) for run in rest if run.kind in known]
    unknown_count = len(rest) - len(told)
    estimate = f"{sum(told) / 60:.0f} minutes of training" if told else ""
    guess = f"{unknown_count} of a kind that was never timed here" if unknown_count else ""
    return [*lines, f"{len(rest)} of {len(plan)} runs to train: {' and '.join(filter(None, (estimate, guess)))}"]


def spend(budget: str) -> list[str]:
    """The options of a recipe for this budget.

    Raises:
        BadInput: there is no such budget.
    """
    if budget not in BUDGETS:
        raise unknown("budget", budget, BUDGETS)
    return ["--seeds", str(BUDGETS[budget])]


def find_recipes(name: str) -> Sequence[str]:
    """What a table is trained by: the recipes of one that has a name, or the recipe itself.

    Raises:
        BadInput: nothing trains it.
    """
    entry = TABLES.get(name)
    if entry is None:
        return [name]
    if not entry.recipes:
        entry.request(name)
        raise BadInput(f"{name} has no recipe: build it of what is there with python -m results build {name}")
    if entry.command != "experiments":
        commands = " and ".join(f"python -m {entry.command} run {recipe}" for recipe in entry.recipes)
        raise BadInput(f"{name} is trained by {commands}, then built by python -m results build {name}")
    return entry.recipes


def train_missing(name: str, options: Sequence[str]) -> int:
    """Train what is missing, with the progress of `python -m experiments run` on the screen; its exit code."""
    return subprocess.run([sys.executable, "-m", "experiments", "run", name, *options], check=False).returncode


def recorded_as(name: str) -> str:
    """The MLflow experiment of a recipe, which may be given by its import path."""
    return name.partition(":")[2].replace(".", "_") if ":" in name else name
