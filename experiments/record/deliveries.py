"""What MLflow has received of each run, kept beside the run, so that any later process can send the rest."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import BadInput
from experiments.record import names
from experiments.record.files import locked, read_json, write_json, writing_to
from experiments.record.folder import list_runs, read_status

NOTHING = {"run_id": None, "points": 0, "status": None}

Deliveries = dict[str, dict[str, Any]]
"""By `Destination.key`: id of the run in MLflow, number of points and status that it has received."""


@dataclass(frozen=True)
class Destination:
    """Where in MLflow a run belongs: an experiment by name and, for a sweep, the titles of the runs above it."""

    experiment: str
    parents: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name of this destination in `deliveries.json`."""
        return json.dumps([names.shown_uri(), self.experiment, *self.parents])


def here(key: str) -> Destination | None:
    """The destination of this key, if it is on the tracking store of now."""
    uri, experiment, *parents = json.loads(key)
    return Destination(experiment, tuple(parents)) if uri == names.shown_uri() else None


def destinations_of(folder: Path) -> list[Destination]:
    """Where a run belongs, on whatever tracking store."""
    places = [json.loads(key)[1:] for key in read_deliveries(folder)]
    return list(dict.fromkeys(Destination(experiment, tuple(parents)) for experiment, *parents in places))


def address(folder: Path, destination: Destination) -> None:
    """Note in the run's folder that it belongs to `destination`, so that any later process can deliver it."""
    if destination.key not in read_deliveries(folder):  # else nothing need be written
        # Not durable, as a bundle has many runs: whoever begins a run anew addresses it anew.
        change(folder, lambda deliveries: deliveries.setdefault(destination.key, dict(NOTHING)), durable=False)


def readdress(old: Path, new: Path) -> None:
    """Note that the run in `new` belongs wherever that in `old` did; MLflow has received nothing of it."""
    if keys := read_deliveries(old):
        change(new, lambda deliveries: deliveries.update({key: dict(NOTHING) for key in keys}))


def send_again(folder: Path) -> None:
    """Note that MLflow is to receive all of the run once more, as there is more of it than it has."""
    change(folder, lambda found: found.update({key: NOTHING | {"run_id": found[key]["run_id"]} for key in found}))


def change(folder: Path, edit: Callable[[Deliveries], Any], *, durable: bool = True) -> None:
    """Read, edit and write `deliveries.json` while nobody else does."""
    with writing_to(names.runs_root()):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(names.runs_root() / ".deliveries.lock"):
        deliveries = read_deliveries(folder)
        before = json.dumps(deliveries)
        edit(deliveries)
        if json.dumps(deliveries) != before:
            write_json(folder / names.DELIVERIES, deliveries, durable=durable)


def read_deliveries(folder: Path) -> Deliveries:
    """What MLflow has received of a run.

    Raises:
        BadInput: the file holds something else; naming it and what to do.
    """
    path, remedy = folder / names.DELIVERIES, "delete it, and the run is sent again by the command that trained it"
    deliveries = read_json(path, remedy=remedy) or {}
    if (wrong := next((key for key in deliveries if not _is_key(key)), None)) is not None:
        raise BadInput(f"{path} cannot be used: {wrong[:80]!r} is no destination; {remedy}")
    return deliveries


def _is_key(key: str) -> bool:
    try:
        titles = json.loads(key)
    except (ValueError, RecursionError):
        return False
    return isinstance(titles, list) and len(titles) > 1 and all(isinstance(each, str) for each in titles)


def addressed() -> list[Path]:
    """Folders of runs that belong on this tracking store, or may."""
    return [folder for folder in list_runs() if _is_addressed(folder)]


def _is_addressed(folder: Path) -> bool:
    try:
        return any(here(key) for key in read_deliveries(folder))
    except BadInput:
        return True  # delivering it says what is wrong with it


def undelivered() -> list[Path]:
    """Folders of runs that some destination on this tracking store has not received completely, or may not have."""
    return [folder for folder in list_runs() if is_waiting(folder)]


def is_waiting(folder: Path) -> bool:
    """Whether some destination on this tracking store has not received all of the run; of a damaged one, too."""
    try:
        deliveries = read_deliveries(folder)
        status = read_status(folder) if deliveries else None
    except BadInput:
        return True  # delivering it says what is wrong with it
    return status is not None and any(
        delivery["status"] != status["status"] or delivery["points"] < status["points"]
        for key, delivery in deliveries.items()
        if here(key)
    )
