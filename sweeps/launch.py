"""What was asked for: from a name and options to sweeps, whoever brings them."""

import dataclasses
import inspect
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.errors import BadInput, unknown
from experiments.experiment import Experiment
from experiments.identity import find
from experiments.launch import How, vary_all
from experiments.options import Option, list_leaves, read_fields, show_choices, show_group, split_options
from experiments.recipes.base import for_pair
from sweeps.catalogue import SWEEPS
from sweeps.sweep import Search, Sweep


@dataclass(frozen=True, kw_only=True)
class Order:
    """In which order results are told, and where the figure goes."""

    ordered: bool = False
    """Tell results in the order of the trials: with as many workers, the study repeats itself bit for bit."""
    publish: bool = False
    """Put the figure into the committed results/figures, too."""


@dataclass(frozen=True)
class Launch:
    """What a command line asks for."""

    sweeps: list[Sweep]
    how: How = field(default_factory=How)
    order: Order = field(default_factory=Order)
    modules: tuple[str, ...] = ()
    help: str = ""
    number: int | None = None
    """What was given to the option of `NUMBERS`."""


# What a verb takes beside: an option, and the least number that it may have.
NUMBERS = {"report": ("fresh", 1), "replay": ("trial", 0)}


def read_command(verb: str, name: str, arguments: Sequence[str]) -> Launch:
    """The sweeps that NAME and OPTIONS stand for.

    Raises:
        BadInput: a name, an option or a value that cannot be used.
    """
    program = f"python -m sweeps {verb} {name}"
    parts = (Search, How, Order) if verb == "run" else (Search, How)
    options = split_options(arguments)
    sweeps = find_sweeps(name)
    several = len(sweeps) > 1
    modules = (name.partition(":")[0],) if ":" in name else ()
    if any(path == "help" for path, _ in options):
        return Launch(sweeps, modules=modules, help=_help(sweeps[0], parts, program))
    number, options = _take_number(verb, options)
    # --pair of another shape takes the network with it, so it comes before all other fields.
    pairs = [values[0] for path, values in options if path == "pair" and len(values) == 1]
    if pairs:
        there = [sweep for sweep in sweeps if sweep.recipe.pair == pairs[-1]] if several else []
        sweeps = there or [move_to(sweep, pairs[-1]) for sweep in sweeps[:1]]
        options = [option for option in options if option[0] != "pair"]
    names = {part: {each.name for each in dataclasses.fields(part)} for part in parts}
    own = [name for part in parts for name in names[part]]
    chosen = {part: [option for option in options if option[0].removeprefix("no_") in names[part]] for part in parts}
    fields = [option for option in options if not any(option in taken for taken in chosen.values())]
    how, order = read_fields(How(), chosen[How], program), read_fields(Order(), chosen.get(Order, []), program)
    naming = [option for option in options if option not in chosen[How] and option not in chosen.get(Order, [])]
    varied = []
    for sweep in sweeps:
        search = read_fields(sweep.search, chosen[Search], program)
        known = [*own, *list_leaves(sweep.recipe)]
        [recipe] = vary_all([sweep.recipe], fields, known, program)
        pair = [("pair", [sweep.recipe.pair])] if pairs or several else []
        typed = [word for path, values in [*pair, *naming] for word in (f"--{path.replace('_', '-')}", *values)]
        varied.append(dataclasses.replace(sweep, search=search, recipe=recipe, typed=shlex.join([name, *typed])))
    return Launch(varied, how, order, modules, number=number)


def _help(sweep: Sweep, parts: Sequence[type], program: str) -> str:
    groups: dict[type, tuple[str, Any]] = {
        Search: ("options of the search", sweep.search),
        How: ("how to run", How()),
        Order: ("how to tell", Order()),
        Experiment: ("fields of the recipe, of which --seed is the search's", sweep.recipe),
    }
    shown = [show_group(*groups[part], program) for part in (*parts, Experiment)]
    return "\n\n".join([*shown, show_choices()])


def _take_number(verb: str, options: Sequence[Option]) -> tuple[int | None, list[Option]]:
    name, least = NUMBERS.get(verb, ("", 0))
    given = [" ".join(values) for path, values in options if path == name]
    for value in given:
        if not value.isdecimal() or int(value) < least:
            raise BadInput(f"{name} must be a whole number >= {least}, got {value!r}")
    return (int(given[-1]) if given else None), [option for option in options if option[0] != name]


def move_to(sweep: Sweep, pair: str) -> Sweep:
    """The same search on another pair, with a network that fits it."""
    recipe: Experiment = for_pair(pair)
    same_method = dataclasses.replace(recipe, method=sweep.recipe.method)
    return dataclasses.replace(sweep, recipe=same_method)


def find_sweeps(name: str) -> list[Sweep]:
    """The sweeps behind a name: of the catalogue, or of a function by its import path.

    Raises:
        BadInput: there is none.
    """
    if name not in SWEEPS and ":" not in name:
        raise unknown("sweep", name, SWEEPS)
    function = SWEEPS[name] if name in SWEEPS else find(name)
    if not callable(function) or isinstance(function, type) or _needs_arguments(function):
        raise BadInput(f"{name} must be a function without arguments that returns a Sweep, got {function!r}")
    built = function()
    sweeps = [each for each in (built if isinstance(built, list) else [built]) if isinstance(each, Sweep)]
    if not sweeps or (isinstance(built, list) and len(sweeps) < len(built)):
        raise BadInput(f"{name} must return a Sweep or a list of them, got {built!r}")
    return sweeps


def _needs_arguments(function: object) -> bool:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return any(each.default is inspect.Parameter.empty for each in parameters)
