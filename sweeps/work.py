"""Work off a sweep: the study gives runs to the pool, and what came of them goes to MLflow."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from experiments.saying import say
from experiments.training.machine import AUTOMATIC, Machine
from experiments.work.courier import Courier
from experiments.work.driver import Outcome, Pool, work
from experiments.work.progress import RunProgress
from sweeps.study import Study, completed, folder_of_study, holding, open_study
from sweeps.sweep import Sweep
from sweeps.tracking import report_study


def work_off_sweep(
    sweep: Sweep,
    *,
    open_pool: Callable[[], Pool],
    console: Console,
    machine: Machine = AUTOMATIC,
    ordered: bool = False,
    ahead: int = 1,
) -> Outcome:
    """Run the sweep until it has all of its trials; what an earlier call finished counts.

    Raises:
        BadInput: another process works on this sweep's study.
    """
    outcome = Outcome()
    with (
        holding(sweep),
        Courier() as courier,
        RunProgress(console, sweep.search.trials * sweep.search.seeds) as progress,
    ):
        study = Study(sweep, say=progress.say, machine=machine, ordered=ordered, ahead=ahead)
        if study.is_open:
            work(study, open_pool(), courier, progress, outcome)
        else:
            say(console, f"all {sweep.search.trials} trials of sweep {sweep.name} are already done")
        outcome.failed.clear()  # a failed trial is a result of the search, said where it was told
        study.redeliver(courier)
        written = open_study(sweep.study_name)  # an interruption may have left more in memory than in the journal
        figures: list[Path] = []
        if completed(written):
            from sweeps.figures import draw_sweep

            figures = draw_sweep(sweep, written, folder_of_study(sweep.study_name) / "figures")
        courier.send(report_study, sweep, written, "KILLED" if outcome.interrupted else "FINISHED", tuple(figures))
    if outcome.interrupted:
        say(console, "stopping: the same command goes on where the sweep stopped")
    outcome.undelivered = courier.trouble
    return outcome
