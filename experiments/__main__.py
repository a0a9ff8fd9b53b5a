"""Command line: `python -m experiments {list, show, run, pack, unpack, sync, log-model, ui}`."""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.errors import BadInput, run_command, unknown
from experiments.record import names
from experiments.saying import say

VERBS = {
    "list": """usage: python -m experiments list

The experiments and tables that have a name.""",
    "show": """usage: python -m experiments show NAME [OPTIONS]

Every field of an experiment, and the health of its run when it is done; or every run of a table. Takes the options of
run.

  python -m experiments show moons
  python -m experiments show moons --method cdan --method.entropy
  python -m experiments show demo""",
    "run": """usage: python -m experiments run NAME [OPTIONS]

Train what is not done yet. NAME is
  an experiment or a table of: python -m experiments list
  a pair of domains: syn_digits_to_usps
  a recipe of your own, by its import path: my_module:my_recipe
  the hash of a recorded run, to train it again as it was

Options are the fields of the experiment, in any order: python -m experiments run NAME --help

  python -m experiments run moons --method cdan --method.entropy --seed 3
  python -m experiments run moons --alpha constant --alpha.value 0.3 --lr 0.1
  python -m experiments run syn_digits_to_usps --network cnn --steps 2000
  python -m experiments run demo --seeds 10 --workers 4
  python -m experiments run my_module:my_recipe --device cuda""",
    "pack": """usage: python -m experiments pack NAME FILE [--light]

Write the finished runs of a table, an experiment or a sweep into one file, for another machine, a colleague or a
repository; what was not committed when a run was begun goes with it, a sweep's study (results/runs/studies) does not.
--light leaves out weights and evaluations: accuracies, losses, curves and choices by reverse validation are in what is
left; other selections, tests and figures that read evaluations, and runs that begin with another's weights need more.

  python -m experiments pack demo demo.tar.xz
  python -m experiments pack demo demo.tar.xz --light""",
    "unpack": """usage: python -m experiments unpack FILE

Record the runs of such a file as if they had been trained here, and send them to MLflow: none is trained again, and
what is recorded here already stays as it is.

  python -m experiments unpack demo.tar.xz
  python -m experiments run demo --seeds 10    # trains the seeds that were not in it""",
    "sync": """usage: python -m experiments sync

Send to MLflow what an unreachable store has missed.""",
    "log-model": """usage: python -m experiments log-model HASH

Keep a finished run's model in MLflow, with its signature and without pickle.

  python -m experiments show moons     # prints the hash""",
    "ui": """usage: python -m experiments ui

Open the MLflow UI on http://127.0.0.1:5000 (GRL_UI_PORT for another port) with the runs of this checkout.""",
}
USAGE = """usage: python -m experiments COMMAND

  list                     the named experiments and tables
  show NAME [OPTIONS]      every field of an experiment and the health of its run, or every run of a table
  run NAME [OPTIONS]       train what is not done yet
  pack NAME FILE           write its finished runs into one file
  unpack FILE              record the runs of such a file here
  sync                     send to MLflow what an unreachable store has missed
  log-model HASH           keep a finished run's model in MLflow, with signature and input example
  ui                       open the MLflow UI on http://127.0.0.1:5000 with the runs of this checkout

each command answers --help with examples"""

console = Console()


def list_named() -> int:
    from experiments.recipes import RECIPES

    is_table = {name: "seeds" in inspect.signature(recipe).parameters for name, recipe in RECIPES.items()}
    for title, wanted in (("experiments", False), ("tables", True)):
        console.print(f"[bold]{title}[/bold]")
        for name, recipe in RECIPES.items():
            if is_table[name] == wanted:
                say(console, f"  {name:<28}{summary_of(recipe)}")
    say(console, "any pair of domains is an experiment, too: python -m datasets list")
    return 0


def summary_of(function: Callable[..., object]) -> str:
    """The first line of a named function's docstring."""
    return next(iter((function.__doc__ or "").strip().splitlines()), "")


def show(name: str, options: Sequence[str]) -> int:
    from experiments.launch import read_command
    from experiments.record.files import read_json
    from experiments.record.folder import folder_of, is_finished

    launch = read_command("show", name, options)
    if launch.help:
        print(launch.help)
        return 0
    experiments = [*launch.experiments]
    while launch.go_on and all(is_finished(folder_of(each.hash)) for each in launch.experiments):
        launch = launch.go_on()  # what a recipe that chooses makes of them
        experiments += [each for each in launch.experiments if each not in experiments]
    if len(experiments) > 1:
        for experiment in experiments:
            say(console, f"{experiment.hash}  {experiment.title}")
        return 0
    for field, value in launch.experiments[0].flat().items():
        say(console, f"{field:<28}{value}")
    say(console, f"{'hash':<28}{launch.experiments[0].hash}")
    result = read_json(folder_of(launch.experiments[0].hash) / names.RESULT, needs=())
    if health := (result or {}).get("health"):
        say(console, health["report"].replace("**", ""))
    return 0


def run(name: str, options: Sequence[str]) -> int:
    from experiments.launch import read_command

    launch = read_command("run", name, options)
    if launch.help:
        print(launch.help)
        return 0
    outcome = train(launch)
    exit_code = outcome.exit_code
    while outcome.is_complete and launch.go_on:  # what MLflow has not got does not hold up the choice
        launch = launch.go_on()
        outcome = train(launch)
        exit_code = outcome.exit_code or exit_code
    return exit_code


def train(launch: Any) -> Any:
    """Train the runs of one `Launch`; the `Outcome`."""
    from experiments.launch import check_all
    from experiments.work.bundles import bundle
    from experiments.work.driver import work_off

    check_all(launch.experiments)  # said once, before anything is recorded or a process starts
    machine = launch.how.machine
    outcome = work_off(
        launch.experiments,
        launch.name,
        open_pool=lambda bundles: launch.how.open_pool(bundles, launch.modules),
        bundle=lambda experiments: bundle(experiments, machine),
        console=console,
    )
    for failure in outcome.failed:
        say(console, f"failed: {failure}", "red")
    for title in outcome.in_use:
        say(console, f"another process is training {title}; left to it")
    say_where(outcome, launch.name)
    return outcome


def say_where(outcome: Any, experiment_name: str) -> None:
    """The last lines of a command that trained: where its runs can be found."""
    if outcome.undelivered:
        say(
            console,
            f"not in MLflow: {outcome.undelivered}\n"
            f"every run is kept in {names.runs_root()}; send them later with: python -m experiments sync",
            "red",
        )
    elif not outcome.interrupted:
        say(
            console,
            f"recorded in MLflow as {experiment_name!r}; table: python -m results build {experiment_name}; "
            "curves: make ui",
        )


def pack(words: Sequence[str]) -> int:

    from rich.progress import track

    from experiments.record.packing import pack

    others = [word for word in words if word != "--light"]
    if len(others) != 2 or others[0].startswith("-") or others[1].startswith("-"):
        raise BadInput(f"pack takes a name, a file and --light, got {' '.join(words) or 'nothing'}")
    name, path = others[0], Path(others[1])
    follow = partial(track, description="packing", console=console)
    count = pack(name, path, light=len(others) < len(words), follow=follow)
    say(console, f"{count} runs in {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def unpack(path: str) -> int:
    from experiments.record.delivery import deliver_all
    from experiments.record.packing import unpack
    from experiments.record.store import Unreachable, check_tracking_uri, open_client

    check_tracking_uri()
    with console.status(f"reading {path}"):
        taken, left = unpack(Path(path))
    for line in left:
        say(console, f"left out: {line}", "red")
    say(console, f"{len(taken)} runs of {path} are recorded in {names.runs_root()}")
    try:
        with console.status("sending them to MLflow"):
            deliver_all(open_client(), taken)
    except Unreachable as error:
        say(console, f"not in MLflow: {error}\nsend them later with: python -m experiments sync", "red")
        return 1
    return 1 if left else 0


def sync() -> int:
    from experiments.record.delivery import addressed, deliver, forget_lost, undelivered
    from experiments.record.store import Unreachable, check_tracking_uri, open_client

    check_tracking_uri()
    belonging, folders, kept = addressed(), [], 0
    client = open_client() if belonging else None
    if client:
        forget_lost(client, belonging)  # a store that was replaced is filled again
        folders = undelivered()
    if not client or not folders:
        say(console, f"nothing to send: {names.shown_uri()} has every recorded run")
        return 0
    for folder in folders:
        try:
            deliver(client, folder)
            say(console, f"sent {folder.name}")
        except (BadInput, Unreachable) as error:
            kept += 1
            say(console, f"kept {folder.name}: {error}", "red")
            client = open_client()  # goes on with the others unless the store itself is away
    return 1 if kept else 0


def log_model(name: str) -> int:
    from experiments.record.folder import folder_of
    from experiments.work.model import log_model

    experiments = log_model(folder_of(name))
    say(console, f"MLflow has the model of run {name} in {', '.join(experiments)}")
    return 0


def ui() -> int:
    from experiments.record.store import check_tracking_uri

    check_tracking_uri()
    uri = names.tracking_uri()
    if uri.startswith("http"):
        say(console, f"the runs are on {names.shown_uri()}")
        return 0
    address = ["--host", "127.0.0.1", "--port", os.environ.get("GRL_UI_PORT", "5000")]
    # The store's password, if it has one, is nothing for the list of processes.
    environment = os.environ | {"MLFLOW_BACKEND_STORE_URI": uri}
    try:
        return subprocess.call([sys.executable, "-m", "mlflow", "ui", *address], env=environment)
    except KeyboardInterrupt:
        return 0


def main(arguments: list[str]) -> int:
    match arguments:
        case [] | ["-h" | "--help", *_]:
            print(USAGE)
            return 0 if arguments else 2
        case [verb, "-h" | "--help", *_] if verb in VERBS:
            print(VERBS[verb])
            return 0
        case ["list"]:
            return list_named()
        case ["show", name, *options]:
            return show(name, options)
        case ["run", name, *options]:
            return run(name, options)
        case ["pack", *words]:
            return pack(words)
        case ["unpack", path]:
            return unpack(path)
        case ["sync"]:
            return sync()
        case ["log-model", name]:
            return log_model(name)
        case ["ui"]:
            return ui()
        case ["show" | "run" as verb]:
            raise BadInput(f"{verb} needs a name: python -m experiments list")
        case ["unpack", *rest]:
            raise BadInput(f"unpack takes one file, got {' '.join(rest) or 'nothing'}")
        case ["log-model", *_]:
            raise BadInput("log-model needs the hash of one run: python -m experiments show NAME")
        case ["list" | "sync" | "ui" as verb, *rest]:
            raise BadInput(f"{verb} takes no arguments, got {' '.join(rest)}")
        case [verb, *_]:
            raise unknown("command", verb, VERBS)
    raise AssertionError(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
