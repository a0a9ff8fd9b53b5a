"""Command line: `python -m experiments {list, show, run, sync, log-model, ui}`."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console

from experiments import record
from experiments.catalogue import EXPERIMENTS, TABLES
from experiments.errors import BadInput, run_command, unknown
from experiments.experiment import Experiment
from experiments.machine import AUTOMATIC, Machine

USAGE = """usage: python -m experiments COMMAND

  list                     the named experiments and tables
  show NAME [OPTIONS]      every field of an experiment, or every run of a table
  run NAME [OPTIONS]       train what is not done yet; --help after NAME lists the options
  sync                     send to MLflow what an unreachable store has missed
  log-model HASH           keep a finished run's model in MLflow, with signature and input example
  ui                       open the MLflow UI on http://127.0.0.1:5000 with the runs of this checkout

examples:
  python -m experiments run moons --method source_only --seed 3
  python -m experiments run moons --steps 4000 alpha:constant --alpha.value 0.3
  python -m experiments run demo --seeds 10 --workers 4
  torchrun --nproc-per-node 2 -m experiments run mnist_to_mnist_m"""

console = Console()


@dataclass(frozen=True, kw_only=True)
class Workers:
    """How to run, beside what to run; changes no number."""

    workers: int = 2
    """Training processes, each with one thread; under torchrun, its processes train each run together."""
    machine: Annotated[Machine, tyro.conf.arg(name="")] = AUTOMATIC
    """How they compute."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise BadInput(f"workers must be >= 1, got {self.workers}")


def parse(verb: str, name: str, options: list[str]) -> tuple[list[Experiment], Workers]:
    """The experiments that NAME and OPTIONS stand for."""
    program = f"python -m experiments {verb} {name}"
    if name in TABLES:
        table = TABLES[name]

        def build(workers: Annotated[Workers, tyro.conf.arg(name="")], seeds: int = _default_seeds(table)):
            """All runs of the table.

            Args:
                seeds: Runs per method and recipe, with seeds 0, 1, …
            """
            return table(seeds=seeds), workers

        return tyro.cli(build, args=options, prog=program)
    if name not in EXPERIMENTS:
        raise unknown("experiment or table", name, [*EXPERIMENTS, *TABLES])
    recipe = EXPERIMENTS[name]()
    # The method decides which fields have a default at all, so it is read before the rest.
    for position, option in enumerate(options):
        if option == "--method" and position + 1 < len(options):
            recipe = recipe.with_method(options[position + 1])
        elif option.startswith("--method="):
            recipe = recipe.with_method(option.removeprefix("--method="))

    def build_one(
        experiment: Annotated[Experiment, tyro.conf.arg(name="")] = recipe,
        workers: Annotated[Workers, tyro.conf.arg(name="")] = Workers(),
    ):
        return [experiment], workers

    return tyro.cli(build_one, args=options, prog=program, description=recipe_summary(EXPERIMENTS[name]))


def recipe_summary(function: Callable[..., object]) -> str:
    """The first line of a named function's docstring."""
    return (function.__doc__ or "").splitlines()[0]


def _default_seeds(table: Callable[..., list[Experiment]]) -> int:
    return table.__defaults__[0]  # pyright: ignore


def list_named() -> int:
    for title, named in (("experiments", EXPERIMENTS), ("tables", TABLES)):
        console.print(f"[bold]{title}[/bold]")
        for name, function in named.items():
            console.print(f"  {name:<28}{recipe_summary(function)}", highlight=False, soft_wrap=True)
    return 0


def show(name: str, options: list[str]) -> int:
    experiments, _ = parse("show", name, options)
    if len(experiments) > 1:
        for experiment in experiments:
            console.print(f"{experiment.hash}  {experiment.title}", markup=False, highlight=False, soft_wrap=True)
        return 0
    for field, value in experiments[0].flat().items():
        console.print(f"{field:<24}{value}", highlight=False)
    console.print(f"{'hash':<24}{experiments[0].hash}", highlight=False)
    return 0


def run(name: str, options: list[str]) -> int:
    from datasets import load_pair
    from experiments.distributed import joined, place
    from experiments.worker import train_in_step, work_off

    experiments, how = parse("run", name, options)
    for pair in sorted({experiment.pair for experiment in experiments}):
        load_pair(pair)  # what is missing is said once, before any process starts
    with joined(how.machine) as machine:
        rank, _ = place()
        if rank > 0:  # the first process speaks for all
            return 130 if train_in_step([], machine) else 0
        outcome = work_off(experiments, name, workers=how.workers, console=console, machine=machine)
    for failure in outcome.failed:
        console.print(f"failed: {failure}", style="red", markup=False, soft_wrap=True)
    for title in outcome.in_use:
        console.print(f"another process is training {title}; left to it")
    if outcome.undelivered:
        console.print(
            f"not in MLflow: {outcome.undelivered}\n"
            f"every run is kept in {record.runs_root()}; send them later with: python -m experiments sync",
            style="red",
            markup=False,
        )
    elif not outcome.interrupted:
        console.print(f"recorded in MLflow as {name!r}; table: python -m results build {name}; curves: make ui")
    return outcome.exit_code


def sync() -> int:
    from experiments.tracking import Unreachable, check_tracking_uri, deliver, open_client, undelivered

    check_tracking_uri()
    folders = undelivered()
    if not folders:
        console.print(f"nothing to send: {record.tracking_uri()} has every recorded run")
        return 0
    kept = 0
    try:
        client = open_client()
        for folder in folders:
            try:
                deliver(client, folder)
                console.print(f"sent {folder.name}")
            except (BadInput, Unreachable) as error:
                kept += 1
                console.print(f"kept {folder.name}: {error}", style="red", markup=False, soft_wrap=True)
                client = open_client()  # goes on with the others unless the store itself is away
    except Unreachable as error:
        raise BadInput(str(error)) from None
    return 1 if kept else 0


def log_model(name: str) -> int:
    from experiments.model import log_model
    from experiments.tracking import Unreachable

    try:
        names = log_model(record.runs_root() / name)
    except Unreachable as error:
        raise BadInput(str(error)) from None
    console.print(f"MLflow has the model of run {name} in {', '.join(names)}", highlight=False)
    return 0


def ui() -> int:
    from experiments.tracking import check_tracking_uri

    check_tracking_uri()
    address = ["--host", "127.0.0.1", "--port", os.environ.get("GRL_UI_PORT", "5000")]
    uri = record.tracking_uri()
    if uri.startswith("http"):
        console.print(f"the runs are on {uri}")
        return 0
    try:
        return subprocess.call([sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, *address])
    except KeyboardInterrupt:
        return 0


def main(arguments: list[str]) -> int:
    match arguments:
        case [] | ["-h" | "--help", *_]:
            print(USAGE)
            return 0 if arguments else 2
        case ["list"]:
            return list_named()
        case ["show", name, *options]:
            return show(name, options)
        case ["run", name, *options]:
            return run(name, options)
        case ["sync"]:
            return sync()
        case ["log-model", name]:
            return log_model(name)
        case ["ui"]:
            return ui()
        case ["show" | "run" as verb]:
            raise BadInput(f"{verb} needs a name: {', '.join([*EXPERIMENTS, *TABLES])}")
        case ["log-model", *_]:
            raise BadInput("log-model needs the hash of one run; python -m experiments show NAME prints it")
        case ["list" | "sync" | "ui" as verb, *rest]:
            raise BadInput(f"{verb} takes no arguments, got {' '.join(rest)}")
        case [verb, *_]:
            raise unknown("command", verb, ("list", "show", "run", "sync", "log-model", "ui"))
    raise AssertionError(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
