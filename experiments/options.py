"""Options of a command line, the same in every command: each field of an experiment, by its path.

    --method cdan --method.entropy     a class by its name, then its own fields
    --alpha constant --alpha.value .3  a field of the method may leave `method.` out
    --alpha 0.3                        a number for a schedule is that constant
    --lr 0.1                           and for a schedule with a field of that name that field
    --method my_module:MyMethod        what a user brings, by its import path

tyro makes options of the fields and reads their values; the classes are chosen here, before it does.
"""

import contextlib
import dataclasses
import difflib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import tyro

from experiments.errors import BadInput, unknown
from experiments.experiment import Experiment
from experiments.identity import find
from experiments.methods import METHODS, Method
from experiments.networks import NETWORKS, Network
from experiments.optimisers import OPTIMISERS, Optimiser
from experiments.recipes.base import with_method
from grl.schedules import Constant, Cosine, Cyclic, Ganin, InverseDecay, Linear, Polynomial, Schedule, Staircase, Step

T = TypeVar("T")
SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant, "ganin": Ganin, "linear": Linear, "cosine": Cosine, "step": Step, "staircase": Staircase,
    "cyclic": Cyclic, "polynomial": Polynomial, "inverse_decay": InverseDecay,
}  # fmt: skip
CHOICES: Mapping[type, Mapping[str, type]] = {
    Method: METHODS, Network: NETWORKS, Optimiser: OPTIMISERS, Schedule: SCHEDULES
}  # fmt: skip

Option = tuple[str, list[str]]  # a path such as method.alpha.value, and the values after it


def split_options(arguments: Sequence[str]) -> list[Option]:
    """The options of a command line, in their order.

    Raises:
        BadInput: a value that follows no option.
    """
    options: list[Option] = []
    for argument in arguments:
        if argument.startswith("--"):
            name, equals, value = argument.removeprefix("--").partition("=")
            options.append((name.replace("-", "_"), [value] if equals else []))
        elif argument == "-h":
            options.append(("help", []))
        elif not options:
            raise BadInput(f"options begin with --, got {argument!r}")
        else:
            options[-1][1].append(argument)
    return options


def vary(experiment: Experiment, options: Sequence[Option], program: str) -> tuple[Experiment, list[Option]]:
    """An experiment with what the options say of its fields.

    Args:
        experiment: What it is without them.
        options: Of `split_options`, in any order.
        program: What was typed before them.

    Returns:
        The experiment, and the options that are none of its fields.

    Raises:
        BadInput: a value that a field cannot have.
    """
    named = {each.name for each in dataclasses.fields(Experiment)}
    pending = list(options)

    def complete(path: str) -> str:
        return path if path.split(".")[0].removeprefix("no_") in named else f"method.{path}"

    for depth in (1, 2):  # the method before its schedules
        rest: list[Option] = []
        for path, values in pending:
            full = complete(path)
            if len(full.split(".")) == depth and (base := _base_of(experiment, full)):
                if len(values) != 1:
                    allowed = f"one of {', '.join(CHOICES[base])}, or package.module:name"
                    raise BadInput(f"{path} must be {allowed}, got {' '.join(values) or 'nothing'}")
                experiment, number = _choose(experiment, full, base, values[0])
                rest += [number] if number else []
            else:
                rest.append((path, values))
        pending = rest
    leaves = set(list_leaves(experiment))
    mine: list[Option] = []
    others: list[Option] = []
    for path, values in pending:
        full = complete(path)
        above, _, last = full.rpartition(".")
        negated = f"{above}.{last.removeprefix('no_')}".removeprefix(".")
        if full in leaves or negated in leaves:
            mine.append((full, values))
        else:
            others.append((path, values))
    if mine:
        experiment = read_fields(experiment, mine, program)
    return experiment, others


def read_fields(default: T, options: Sequence[Option], program: str) -> T:
    """A dataclass instance with the values that the options give to its fields.

    Raises:
        BadInput: a value that a field cannot have, in one line.
    """
    arguments = [word for path, values in options for word in (f"--{path.replace('_', '-')}", *values)]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return tyro.cli(type(default), args=arguments, default=default, prog=program)
    except SystemExit:
        raise BadInput(f"{_problem(said.getvalue(), type(default).__name__)}; see: {program} --help") from None
    except ValueError as error:  # a field's own check, in grl or in datasets
        raise BadInput(str(error)) from None


def _problem(box: str, kind: str) -> str:
    # Of what tyro prints: a title, a line of dashes, what is wrong, and another line of dashes.
    paragraphs: list[list[str]] = [[]]
    for line in box.splitlines():
        if set(line) <= {" ", "-"}:
            paragraphs.append([])
        else:
            paragraphs[-1].append(line.strip())
    said = [" ".join(lines) for lines in paragraphs if lines]
    problem = (said[1] if len(said) > 1 else " ".join(said)).removeprefix("Error parsing ").removeprefix(f"{kind}: ")
    for theirs, ours in TERMS.items():
        problem = problem.replace(theirs, ours)
    field, _, rest = problem.partition(": ")
    return (rest if rest.startswith(f"{field}.") else problem).rstrip(".")


TERMS = {
    ": invalid literal for int() with base 10: ": " must be a whole number, got ",
    ": could not convert string to float: ": " must be a number, got ",
}  # Python's words, and ours


def refuse_unknown(options: Sequence[Option], known: Sequence[str], program: str) -> None:
    """Refuse options that nothing takes, naming the nearest.

    Raises:
        BadInput: there is one.
    """
    above = [name.rpartition(".")[0] for name in known if "." in name]  # of classes: method, method.alpha
    names = [each for name in dict.fromkeys([*known, *above]) for each in (name, name.removeprefix("method."))]
    for path, _ in options:
        near = difflib.get_close_matches(path, names, n=1)
        hint = f"did you mean --{near[0]}? " if near else ""
        raise BadInput(f"unknown option --{path}: {hint}see: {program} --help")


def list_leaves(value: Any, prefix: str = "") -> Iterator[str]:
    """The paths of all fields that have a value of their own."""
    for each in dataclasses.fields(value):
        inner, path = getattr(value, each.name), f"{prefix}{each.name}"
        if dataclasses.is_dataclass(inner) and not isinstance(inner, type):
            yield from list_leaves(inner, f"{path}.")
        else:
            yield path


def _base_of(experiment: Experiment, path: str) -> type | None:
    # What kind of class can be chosen at this path; None where there is no choice.
    value: Any = experiment
    for name in path.split("."):
        value = getattr(value, name, None)
    return next((base for base in CHOICES if isinstance(value, base)), None)


def _choose(experiment: Experiment, path: str, base: type, word: str) -> tuple[Experiment, Option | None]:
    *above, last = path.split(".")
    current = getattr(experiment.method if above else experiment, last)
    if base is Schedule and (number := _number(word)) is not None:
        if hasattr(current, last):  # the learning rate of a schedule of learning rates
            return experiment, (f"{path}.{last}", [word])
        value: Any = _checked(path, lambda: Constant(value=number))
    else:
        chosen = find(word) if ":" in word else CHOICES[base].get(word)
        if chosen is None:
            raise unknown(path, word, CHOICES[base])
        is_kind = isinstance(chosen, type) and issubclass(chosen, base)
        if is_kind and (chosen is base or (base is not Schedule and not hasattr(chosen, "name"))):
            raise BadInput(f"{path} must be a kind of {base.__name__} that has a name, got {word}")
        if base is Method and isinstance(chosen, type) and issubclass(chosen, Method):
            return _checked(path, lambda: with_method(experiment, chosen)), None
        value = current if type(current) is chosen else _checked(path, chosen) if callable(chosen) else chosen
        if not isinstance(value, base):
            raise BadInput(f"{path} must be a {base.__name__}, got {word}, which gives {value!r}")
    if above:
        value = dataclasses.replace(experiment.method, **{last: value})
        last = "method"
    return dataclasses.replace(experiment, **{last: value}), None


def _checked(path: str, build: Callable[[], T]) -> T:
    try:
        return build()
    except (ValueError, TypeError) as error:  # TypeError: a field without a default
        raise BadInput(f"{path}: {error}") from None


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def show_fields(default: Any, program: str, description: str) -> str:
    """The help text of the fields of a dataclass instance."""
    said = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
        tyro.cli(type(default), args=["--help"], default=default, prog=program, description=description)
    return said.getvalue()


def show_group(title: str, default: Any, program: str) -> str:
    """The help text of the fields of a dataclass instance that are a part of a command's options, under a title."""
    _, _, fields = show_fields(default, program, "").partition("\n\n")
    return f"{title}:\n{fields.rstrip()}"


def show_choices() -> str:
    """The help text of the classes that can be chosen by name."""
    named = {"method": Method, "network": Network, "optimiser": Optimiser, "alpha, --lr": Schedule}
    lines = [f"  --{option} NAME: {', '.join(CHOICES[base])}" for option, base in named.items()]
    return "\n".join(["classes, by name or by package.module:name; their own options then follow:", *lines])
