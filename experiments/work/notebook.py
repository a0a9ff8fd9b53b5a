"""`run` for Python: one experiment in this process, recorded and tracked as from the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.errors import NonFiniteLoss, RunInUse
from experiments.experiment import Experiment
from experiments.record import names
from experiments.record.delivery import Destination, address, deliver
from experiments.record.files import read_json
from experiments.record.folder import folder_of, read_status
from experiments.training.machine import AUTOMATIC, Machine
from experiments.work.courier import Courier
from experiments.work.run import train_runs
from experiments.work.stopping import told_to_stop

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        hash: Its name in `results/runs` and in MLflow.
        last: The numbers of the last evaluation, `target_accuracy` among them.
        metrics: Single numbers of the whole run.
        folder: Where it is recorded.
        undelivered: Why MLflow has not received it; empty if it has.
    """

    hash: str
    last: Mapping[str, float]
    metrics: Mapping[str, float]
    folder: Path
    undelivered: str = ""

    def curves(self) -> "pd.DataFrame":
        """Columns step, metric, value."""
        import pandas as pd

        return pd.read_parquet(self.folder / names.CURVES)


def run(experiment: Experiment, *, name: str = "python", machine: Machine = AUTOMATIC) -> Result:
    """Train `experiment` unless it is done, from its last checkpoint if there is one, and record it.

    Args:
        experiment: What to train.
        name: Of the MLflow experiment that it belongs to.
        machine: How to compute.

    Raises:
        RunInUse: another process is training this run.
        NonFiniteLoss: recorded as a failed run.
        KeyboardInterrupt: Ctrl-C; recorded as a killed run that goes on from that very step.
    """
    folder = folder_of(experiment.hash)
    with Courier() as courier:
        try:
            with told_to_stop(insistent=True) as must_stop:
                in_use = train_runs([experiment], machine, must_stop)
        finally:
            if folder.exists():
                address(folder, Destination(name))
                courier.send(deliver, folder)
    if in_use:
        raise RunInUse(f"another process is training {experiment.title}")
    status, result = read_status(folder), read_json(folder / names.RESULT, needs=("last", "metrics"))
    if status is None or status["status"] != "FINISHED" or result is None:
        raise NonFiniteLoss(status["message"] if status else f"run {experiment.hash} has no status")
    return Result(experiment.hash, result["last"], result["metrics"], folder, courier.trouble)
