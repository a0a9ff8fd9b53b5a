"""The command line: python -m datasets list | show | prepare | add | features."""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from datasets.agreement import partners
from datasets.backbones import PREPROCESSINGS, find_backbone
from datasets.domains import DOMAINS, NEEDS, PAIRS, find_domain, find_pair
from datasets.domains.base import Domain
from datasets.domains.preparing import open_if_current, prepare_domain
from datasets.errors import DatasetError, shorten
from datasets.features import add_features
from datasets.files.folders import data_root, prepared_root
from datasets.files.originals import fetch
from datasets.files.preparation import prepared_path
from datasets.files.samples import ENDINGS as SAMPLES
from datasets.files.samples import Layout
from datasets.own import add_domain
from datasets.pairs import load_pair


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0 done, 1 a clear error was printed, 130 interrupted. (argparse itself exits with 2.)
    """
    options = parse(arguments)
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    try:
        options.command(options)
    except DatasetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was downloaded or computed so far is kept and continued next time", file=sys.stderr)
        return 130
    return 0


class Parser(argparse.ArgumentParser):
    """Reads a command line; whatever is wrong with it becomes one line, and the exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Name the help that says it better."""
        self.exit(2, f"error: {message}; see: {self.prog} --help\n")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(prog="python -m datasets", description="Domains and pairs of domains.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def add_command(name: str, run: Callable[[argparse.Namespace], None], help: str, *examples: str) -> Parser:
        command = commands.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}.",
            epilog="\n".join(("examples:", *(f"  python -m datasets {name} {one}".rstrip() for one in examples))),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(command=run)
        return command

    add_command("list", run_list, "every domain: classes, counts, size, licence, prepared or not", "")

    command = add_command(
        "show",
        run_show,
        "one domain: card, counts, class histogram, mean, contact sheet; or one pair",
        "mnist_m",
        "mnist_to_mnist_m",
        "digits --sheet digits.png",
    )
    command.add_argument("name", help="a domain or a pair")
    command.add_argument("--sheet", type=Path, help="where the contact sheet goes (PNG)")

    command = add_command(
        "prepare",
        run_prepare,
        "download what is missing, check it, prepare it; a run never downloads",
        "mnist_m",
        "mnist_to_usps svhn",
        "--table office_caltech10",
    )
    command.add_argument("names", nargs="*", metavar="NAME", help="domains or pairs")
    command.add_argument("--table", choices=NEEDS, help="everything that a table needs")
    command.add_argument("--again", action="store_true", help="prepare even what is prepared")

    command = add_command(
        "add",
        run_add,
        "make your own data a domain",
        "sketches path/to/sketches",
        "photos path/to/photos --size 64",
        "reviews train.svmlight test.svmlight --classes negative positive",
        "office_home_art art.txt --images OfficeHome --size 256",
        "decaf amazon.mat --inputs fts --labels labels",
    )
    command.add_argument("name", help="lower-case letters, digits and underscores")
    command.add_argument(
        "path", type=Path, help=f"image folder (one folder per class), list (.txt: path label), {', '.join(SAMPLES)}"
    )
    command.add_argument("test_path", type=Path, nargs="?", help="the same for testing")
    command.add_argument("--size", type=int, default=32, help="side of the images in pixels (default 32)")
    command.add_argument(
        "--classes", nargs="+", default=(), metavar="NAME", help="keep these; or names of numbered ones, ascending"
    )
    command.add_argument("--images", type=Path, metavar="FOLDER", help="where the paths of a list begin")
    command.add_argument(
        "--inputs", default="", metavar="KEY", help="of an .npz or .mat; the column of lists of a table"
    )
    command.add_argument("--labels", default="labels", metavar="KEY", help="of an .npz or .mat; the column of a table")
    command.add_argument("--features", type=int, default=0, metavar="N", help="in a line of an .svmlight file")

    command = add_command(
        "features",
        run_features,
        "turn the images of a domain into a domain of features, once",
        "photos --backbone efficientnet_lite0",
        "photos --backbone resnet50 --weights resnet50-11ad3fa6.pth",
        "mnist --backbone my_networks:encoder --name mnist_encoded",
    )
    command.add_argument("domain", help="a domain of images")
    command.add_argument(
        "--backbone",
        required=True,
        help="a torchvision model, efficientnet_lite0, or package.module:model: an nn.Module that returns features, "
        "or a function that makes one",
    )
    command.add_argument(
        "--weights", help="a file of its state_dict, or 'random' (default: the published ones, if here)"
    )
    command.add_argument("--name", help="of the new domain (default: DOMAIN_BACKBONE)")
    command.add_argument(
        "--preprocessing", choices=PREPROCESSINGS, help="default: that of the published weights, else imagenet"
    )
    return parser.parse_args(arguments)


def run_list(options: argparse.Namespace) -> None:
    """Print every domain."""
    from datasets.show import print_list

    console = Console()
    if not console.is_terminal:
        console = Console(width=140)  # a file or a pipe has no width of its own
    print_list(console)


def run_show(options: argparse.Namespace) -> None:
    """Print one domain with its contact sheet, or one pair."""
    from datasets.show import print_domain, print_pair

    console, name = Console(), options.name
    if is_domain(name):
        domain = find_domain(name)
        sheet = options.sheet or prepared_root() / "sheets" / f"{name}.png"
        print_domain(console, domain, prepare_domain(domain), sheet)
    if name in PAIRS or not is_domain(name):
        print_pair(console, load_pair(name))


def run_prepare(options: argparse.Namespace) -> None:
    """Fetch and prepare each domain; go on after one that fails, and fail in the end."""
    wanted = [*options.names, *(NEEDS[options.table] if options.table else ())]
    if not wanted:
        raise DatasetError("name at least one domain or pair, or a table with --table; see: python -m datasets list")
    # All names first, so that a typing error stops before the first download.
    domains = dict.fromkeys(domain for name in wanted for domain in domains_of(name))
    pairs = [name for name in wanted if name in PAIRS and PAIRS[name].msda]
    console, failures = Console(), []
    for name in domains:
        try:
            if options.again or open_if_current(find_domain(name)) is None:
                fetch_originals(name, console)
            prepare_domain(find_domain(name), again=options.again)
            console.print(f"{name}: {prepared_path(name)}", highlight=False, soft_wrap=True)
        except DatasetError as error:
            failures.append(str(error))
    if not failures:
        for name in pairs:
            console.print(f"{name}: fingerprint {load_pair(name).fingerprint}", highlight=False, soft_wrap=True)
    if failures:
        raise DatasetError("\nerror: ".join(failures))


def domains_of(name: str) -> tuple[str, ...]:
    """Resolve the name of a domain or of a pair to domains."""
    if name in PAIRS or not is_domain(name):
        entry = find_pair(name)
        return (*entry.sides[0], *entry.sides[1])
    return (find_domain(name).name,)


def is_domain(name: str) -> bool:
    """Tell a domain's name from a pair's; what is unknown counts as a domain unless it reads like a pair."""
    return name in DOMAINS or (name not in PAIRS and "_to_" not in name)


def fetch_originals(name: str, console: Console) -> None:
    """Download what a domain lacks, with progress."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def report(file: str, done: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = progress.add_task(file)
            progress.update(tasks[file], completed=done, total=total or None)

        for original in find_domain(name).originals:
            fetch(original, data_root(), report)


def run_add(options: argparse.Namespace) -> None:
    """Make a folder or file of the user's a domain."""
    domain = add_domain(
        options.name,
        options.path,
        options.test_path,
        size=options.size,
        class_names=options.classes,
        layout=Layout(inputs=options.inputs, labels=options.labels, features=options.features),
        root=options.images,
    )
    print_added(domain)


def run_features(options: argparse.Namespace) -> None:
    """Turn a domain's images into features."""
    backbone = find_backbone(options.backbone, options.weights, options.preprocessing)
    print(f"{options.domain} by {backbone.sentence}")
    print_added(add_features(options.domain, backbone, options.name))


def print_added(domain: Domain) -> None:
    """Say what a new domain holds, and what it makes a pair with."""
    train, test = domain.counts
    print(f"{domain.name}: {len(domain.class_names)} classes, {train:,} training and {test:,} test samples")
    if others := partners(domain):
        print(f"train on it: python -m experiments run {domain.name}_to_{others[0]}")
    else:
        print(
            f"to train on it, add a second domain of the same classes ({shorten(domain.class_names)}) "
            f"and of samples like {domain.shape}: python -m datasets add NAME PATH"
        )


if __name__ == "__main__":
    sys.exit(main())
