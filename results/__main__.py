"""Command line: `python -m results {list, plan, reproduce, build}`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.errors import BadInput, run_command, unknown
from experiments.saying import say

VERBS = {
    "list": """usage: python -m results list

The tables that have a name, and every other name that runs were recorded under.""",
    "plan": """usage: python -m results plan TABLE [OPTIONS]

What runs TABLE consists of, which of them are there, and how long the others take. TABLE is one of
python -m results list, or any recipe; OPTIONS are those of: python -m experiments run --help

  python -m results plan ganin2016_figure2
  python -m results plan moons_alphas --seeds 10""",
    "reproduce": """usage: python -m results reproduce TABLE [--budget quick|full] [OPTIONS]

Train what is missing of TABLE, then build it. TABLE is one of python -m results list, or any recipe; OPTIONS are those
of: python -m experiments run --help

  --budget B         quick: three seeds, a look; full: ten, enough for a claim (default: as many as the recipe says)

  python -m results reproduce ganin2016_figure2
  python -m results reproduce moons_alphas --budget full --workers 4
  python -m results reproduce ganin2016_table2 --cluster auto
  python -m results reproduce ganin2016_table2 --slurm partition=gpu,gpus=1,minutes=600""",
    "build": """usage: python -m results build TABLE [OPTIONS]

Print TABLE, write it with its figures, and keep both in MLflow. TABLE is one of python -m results list: a table that
has a name, or what was launched.

  --selection V      report the step that V chooses, last unless the table has another: one of those below, or one of
                     your own by its import path; target_oracle looks at target labels (†)
  --figure F         draw F, which may be given again: one of those below, one of your own by its import path, or none
  --where P=V        only runs whose parameter P is V, which may be given again: any of the values of one parameter
  --mixed            let runs of different data, commit, torch version or device share a cell
  --run-figures      give every run in MLflow a figure of its own curves
  --into FOLDER      write there (default: reports/NAME below the runs)
  --publish          write into the committed results/tables and results/figures, too

  python -m results build demo
  python -m results build validator_study
  python -m results build demo --selection information_maximisation
  python -m results build demo --where pair=moons --where method=dann --where method=cdan
  python -m results build demo --figure curves --figure my_module:my_figure""",
}
CATALOGUES = """
selections: {selections}
figures: {figures}; by default {usual}"""
USAGE = """usage: python -m results COMMAND

  list                      what can be built
  plan TABLE [OPTIONS]      what runs a table consists of, and which are missing
  reproduce TABLE [OPTIONS] train what is missing, then build
  build TABLE [OPTIONS]     a table, its figures and its report

each command answers --help with examples"""
_VALUED, _FLAGS = ("--selection", "--figure", "--where", "--into"), ("--mixed", "--run-figures", "--publish")


def help_of(verb: str) -> str:
    """What `VERB --help` prints."""
    if verb != "build":
        return VERBS[verb]
    from experiments.validators import SELECTIONS
    from results.drawing import DEFAULT, FIGURES

    named = {"selections": SELECTIONS, "figures": FIGURES, "usual": DEFAULT}
    return VERBS[verb] + "\n" + CATALOGUES.format(**{key: ", ".join(value) for key, value in named.items()})


def read_options(arguments: Sequence[str]) -> dict[str, list[str]]:
    """The options of `build`: name -> the values given.

    Raises:
        BadInput: an unknown option, or one without its value.
    """
    found: dict[str, list[str]] = {}
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option in _FLAGS and not equals:
            found[option] = []
        elif option in _VALUED:
            value = value if equals else next(words, "")
            if not value or value.startswith("--"):
                raise BadInput(f"{option} needs a value; see: python -m results build --help")
            found.setdefault(option, []).append(value)
        else:
            raise unknown("option", word, (*_VALUED, *_FLAGS))
    return found


def build(name: str, arguments: Sequence[str]) -> int:
    options = read_options(arguments)
    # Imported late: `--help` and mistyped commands answer at once.
    from rich.console import Console

    from results.building import build
    from results.catalogue import find_entry

    entry = find_entry(name)
    request = entry.request(
        name,
        selection=options.get("--selection", [entry.selection])[-1],
        figures=[name for name in options.get("--figure", entry.figures) if name != "none"],
        where=options.get("--where", []),
        mixed="--mixed" in options,
        run_figures="--run-figures" in options,
    )
    into = Path(options["--into"][-1]) if "--into" in options else None
    console = Console()
    files = build(request, console, into, publish="--publish" in options, make=entry.make)
    say(console, "\nwritten:")
    for path in files:
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        say(console, f"  {shown}")
    say(console, "next: make ui")
    return 0


def plan(name: str, options: Sequence[str]) -> int:
    from results.planning import describe_plan, find_recipes, read_plan

    runs = [run for recipe in find_recipes(name) for run in read_plan(recipe, options)]
    for line in describe_plan(runs):
        print(line)
    print(f"next: {' '.join(['python -m results reproduce', name, *options])}")
    return 0


def reproduce(name: str, arguments: Sequence[str]) -> int:
    from results.planning import find_recipes, recorded_as, spend, train_missing

    options = list(arguments)
    if "--budget" in options:
        place = options.index("--budget")
        options[place : place + 2] = spend("".join(options[place + 1 : place + 2]))
    # Runs that are there are told to MLflow again at no cost, so that the table has them.
    for recipe in find_recipes(name):
        if code := train_missing(recipe, options):
            return code
    return build(recorded_as(name), [])


def list_tables() -> int:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from experiments.record.store import open_client
    from results.catalogue import TABLES
    from results.reading import list_experiments

    console = Console()
    for name, entry in TABLES.items():
        say(console, f"{name:<26}{entry.summary}")
    try:
        found = list_experiments(open_client(create=False))
    except BadInput as error:  # no store yet
        say(console, f"\n{error}")
        return 0
    if len(found):
        table = Table("recorded as", "runs", "finished", "last finished", box=SIMPLE_HEAD)
        for row in found.to_dict("records"):
            last = f"{row['last']:%Y-%m-%d %H:%M} UTC" if row["finished"] else ""
            table.add_row(Text(row["name"]), str(row["runs"]), str(row["finished"]), last)
        console.print(table)
    say(console, "next: python -m results plan TABLE")
    return 0


def main(arguments: list[str]) -> int:
    match arguments:
        case [] | ["-h" | "--help", *_]:
            print(USAGE)
            return 0 if arguments else 2
        case [verb, *rest] if verb in VERBS and {"-h", "--help"} & set(rest):
            print(help_of(verb))
            return 0
        case ["list"]:
            return list_tables()
        case ["plan" | "reproduce" | "build" as verb, name, *options] if not name.startswith("-"):
            return {"plan": plan, "reproduce": reproduce, "build": build}[verb](name, options)
        case ["plan" | "reproduce" | "build" as verb, *_]:
            raise BadInput(f"{verb} needs a name: python -m results list")
        case ["list", *rest]:
            raise BadInput(f"list takes no arguments, got {' '.join(rest)}")
        case [verb, *_]:
            raise unknown("command", verb, VERBS)
    raise AssertionError(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
