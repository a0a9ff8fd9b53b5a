"""`python -m results build NAME` and `python -m results list`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from experiments.errors import BadInput, unknown
from experiments.record import RESULTS, tracking_uri

if TYPE_CHECKING:
    from rich.console import Console

COMMANDS = ("build", "list")


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see: python -m results --help")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m results", description="Recorded runs become tables, figures and a report.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{build,list}")
    builder = commands.add_parser("build", help="print the table of NAME, write table and figures, keep both in MLflow")
    builder.add_argument("name", metavar="NAME", help="what was launched, for example demo: python -m results list")
    builder.add_argument(
        "--into", type=Path, default=RESULTS, metavar="FOLDER", help="receives tables/ and figures/ (default: results)"
    )
    commands.add_parser("list", help="what can be built")
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise unknown("command", arguments[0], COMMANDS)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    # Imported late: `--help` and mistyped commands answer at once.
    from rich.console import Console

    console = Console()
    if options.command == "list":
        print_list(console)
        return
    from results.building import build

    files = build(options.name, options.into, console)
    console.print("\nwritten:")
    for path in files:
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        console.print(f"  {shown}", markup=False, highlight=False, soft_wrap=True)
    console.print("next: make ui", highlight=False)


def print_list(console: "Console") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from results.reading import list_experiments
    from results.store import open_store

    found = list_experiments(open_store())
    if found.empty:
        raise BadInput(f"{tracking_uri()} holds no run yet; make the first ones with: make demo")
    table = Table("name", "runs", "finished", "last finished", box=SIMPLE_HEAD)
    for row in found.to_dict("records"):
        last = f"{row['last']:%Y-%m-%d %H:%M} UTC" if row["finished"] else ""
        table.add_row(Text(row["name"]), str(row["runs"]), str(row["finished"]), last)
    console.print(table)
    console.print("next: python -m results build NAME", markup=False, highlight=False)


def run(arguments: list[str]) -> int:
    """The exit code of `main`; what a person can mend becomes one line on stderr."""
    try:
        main(arguments)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; files already written are whole", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
