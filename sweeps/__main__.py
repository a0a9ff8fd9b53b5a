"""Command line: `python -m sweeps {list, run, show}`."""

import sys

import optuna
from optuna.trial import TrialState
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from experiments import record
from experiments.errors import BadInput, run_command, unknown
from sweeps.catalogue import SWEEPS
from sweeps.sweep import Sweep

USAGE = """usage: python -m sweeps COMMAND

  list                       the named sweeps
  run NAME [--workers N]     run what is missing of a sweep (two workers unless told)
  show NAME                  its best trials so far"""

console = Console()


def list_sweeps() -> int:
    for name, function in SWEEPS.items():
        console.print(f"  {name:<12}{(function.__doc__ or '').splitlines()[0]}", soft_wrap=True, highlight=False)
    return 0


def find_sweep(name: str) -> Sweep:
    if name not in SWEEPS:
        raise unknown("sweep", name, SWEEPS)
    return SWEEPS[name]()


def run(name: str, workers: int) -> int:
    from datasets import load_pair
    from sweeps.study import open_study
    from sweeps.worker import work_off_sweep

    sweep = find_sweep(name)
    load_pair(sweep.recipe.pair)  # what is missing is said once, before any process starts
    outcome = work_off_sweep(sweep, workers=workers, console=console)
    study = open_study(sweep)
    if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        _report(sweep, study)
    if outcome.undelivered:
        console.print(
            f"not in MLflow: {outcome.undelivered}\neverything is kept in {record.runs_root()}; "
            f"send it later with: python -m experiments sync; python -m sweeps run {name}",
            style="red",
            markup=False,
        )
    elif not outcome.interrupted:
        console.print(f"recorded in MLflow as 'sweep_{name}'; curves: make ui", highlight=False)
    return outcome.exit_code


def _report(sweep: Sweep, study: optuna.Study) -> None:
    from experiments.delivery import Delivery
    from sweeps.figures import draw_sweep
    from sweeps.tracking import attach_figure

    print_trials(sweep, study)
    path = draw_sweep(sweep, study)
    with Delivery() as delivery:
        delivery.send(attach_figure, sweep, str(path))
    console.print(f"figure: {path.relative_to(record.ROOT)}", highlight=False)


def show(name: str) -> int:
    from sweeps.study import journal_of, open_study

    sweep = find_sweep(name)
    if not journal_of(sweep).exists():
        raise BadInput(f"sweep {name} has no trial yet; start it with: python -m sweeps run {name}")
    print_trials(sweep, open_study(sweep))
    return 0


def print_trials(sweep: Sweep, study: optuna.Study, most: int = 5) -> None:
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best_first = sorted(trials, key=lambda trial: trial.values[0], reverse=True)
    score = sweep.objective.removeprefix(record.SELECTED)
    table = Table(box=SIMPLE_HEAD)
    for column in ("trial", "alpha", "objective", "target"):
        table.add_column(column, justify="left" if column == "alpha" else "right", no_wrap=True)
    for trial in best_first[:most]:
        hindsight = trial.user_attrs[record.SELECTED_TARGET_ACCURACY]
        table.add_row(str(trial.number), trial.user_attrs["schedule"], f"{trial.value:.4f}", f"{hindsight:.3f}")
    console.print(f"sweep {sweep.name}: best of {len(trials)} trials, mean of {sweep.seeds} seeds", highlight=False)
    console.print(table)
    console.print(f"objective: {score}; target: accuracy in hindsight, not used", highlight=False)
    if best_first:
        console.print(
            f"best: trial {best_first[0].number}, alpha = {best_first[0].user_attrs['schedule']}", highlight=False
        )


def parse_workers(options: list[str]) -> int:
    match options:
        case []:
            return 2
        case ["--workers", count] if count.isdigit() and int(count) >= 1:
            return int(count)
        case ["--workers", *rest]:
            raise BadInput(f"workers must be a whole number >= 1, got {' '.join(rest) or 'nothing'}")
        case [option, *_]:
            raise unknown("option", option, ("--workers",))
    raise AssertionError(options)


def main(arguments: list[str]) -> int:
    match arguments:
        case [] | ["-h" | "--help", *_]:
            print(USAGE)
            return 0 if arguments else 2
        case ["list"]:
            return list_sweeps()
        case ["run", name, *options]:
            return run(name, parse_workers(options))
        case ["show", name]:
            return show(name)
        case ["run" | "show" as verb, *_]:
            raise BadInput(f"{verb} needs the name of a sweep: {', '.join(SWEEPS)}")
        case [verb, *_]:
            raise unknown("command", verb, ("list", "run", "show"))
    raise AssertionError(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
