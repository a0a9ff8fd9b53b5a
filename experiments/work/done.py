"""When a run is done: finished, and with the same inputs as now."""

from experiments.experiment import Experiment
from experiments.record.delivery import readdress
from experiments.record.files import read_json
from experiments.record.folder import folder_of, is_finished
from experiments.record.names import RUN
from experiments.work.pairs import find_change


def is_done(experiment: Experiment) -> bool:
    """Whether the run has been trained to its end and recorded, on the data and with the foreign source of now."""
    return is_finished(folder_of(experiment.hash)) and not find_change(experiment)


def set_aside(experiment: Experiment) -> None:
    """Move a finished run whose inputs have changed out of the way of a new one; it stays a run that can be read.

    The new one belongs where the old one did. The claim of the folder goes with it: claim the folder again.
    """
    folder = folder_of(experiment.hash)
    begun = (read_json(folder / RUN, needs=("started_ms",)) or {})["started_ms"]
    old = folder.rename(folder.with_name(f"{folder.name}-{begun}"))
    readdress(old, folder)
