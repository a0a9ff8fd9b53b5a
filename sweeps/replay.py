"""A trial trained again from what the journal and the run folders keep of it."""

import os
import tempfile
from collections.abc import Iterator

from experiments.errors import BadInput
from experiments.record.files import read_json
from experiments.record.folder import folder_of
from experiments.record.names import RESULT
from experiments.training.machine import Machine
from experiments.work.run import train_runs
from sweeps.status import open_begun
from sweeps.study import suggested
from sweeps.sweep import Sweep


def replay_trial(sweep: Sweep, number: int, machine: Machine) -> Iterator[tuple[str, str, str]]:
    """Train the runs of a trial again, in a folder of their own.

    Yields:
        The title of each run, and the digests of its weights: as recorded, and as trained now.

    Raises:
        BadInput: there is no such trial, or one of its runs did not finish.
    """
    trials = open_begun(sweep).get_trials(deepcopy=False)
    if number >= len(trials):
        raise BadInput(f"trial must be below {len(trials)}, the number of trials of {sweep.study_name}, got {number}")
    runs = sweep.experiments(suggested(sweep, trials[number]))
    recorded = [_digest(run.hash) for run in runs]
    if not all(recorded):
        raise BadInput(f"trial {number} of {sweep.study_name} has runs that did not finish")
    chosen = os.environ.get("GRL_RUNS")
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["GRL_RUNS"] = temporary
        try:
            train_runs(runs, machine)
            again = [_digest(run.hash) for run in runs]
        finally:
            if chosen is None:
                del os.environ["GRL_RUNS"]
            else:
                os.environ["GRL_RUNS"] = chosen
    for run, before, now in zip(runs, recorded, again, strict=True):
        yield run.title, before, now


def _digest(name: str) -> str:
    result = read_json(folder_of(name) / RESULT, needs=("weights_sha256",))
    return result["weights_sha256"] if result else ""
