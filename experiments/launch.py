"""What was asked for: from a name and options to experiments, whoever brings them."""

import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from datasets import load_pair
from experiments.errors import BadInput, is_ours, unknown
from experiments.experiment import Experiment, check_reversed
from experiments.identity import find, origin_of
from experiments.networks import check_fit
from experiments.options import (
    Option,
    list_leaves,
    read_fields,
    refuse_unknown,
    show_choices,
    show_fields,
    show_group,
    split_options,
    vary,
)
from experiments.recipes import RECIPES, Recipe
from experiments.recipes.base import for_pair
from experiments.record.folder import folder_of
from experiments.record.names import search_of
from experiments.training.alone import sample_shape
from experiments.training.fitted import check_inputs
from experiments.training.machine import Machine
from experiments.work.driver import Pool
from experiments.work.pairs import recorded_experiment
from experiments.work.pools import open_pool


@dataclass(frozen=True, kw_only=True)
class How:
    """How to run, beside what to run; changes no number beyond rounding."""

    workers: int = 2
    """Training processes, each with one thread."""
    device: str = "auto"
    """cpu, cuda, cuda:1, … or mps; auto is the first of CUDA, MPS and CPU that is there."""
    compile: str = "no"
    """no, inductor (fuses kernels) or cudagraphs (replays all kernels of a step as one)."""
    deterministic: bool = False
    """On CUDA: the same bits every time, at some cost. The CPU gives them always."""
    cluster: str = ""
    """Train on a Ray cluster: local starts one here, auto joins the one of this machine, ray://host:port another."""
    slurm: str = ""
    """Train as SLURM jobs, `workers` of them at a time: partition=gpu,gpus=1,minutes=600."""
    gpus: float = 0.0
    """GPUs of the cluster that a bundle takes; 0.25 puts four on one."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise BadInput(f"workers must be >= 1, got {self.workers}")
        if not (math.isfinite(self.gpus) and self.gpus >= 0):
            raise BadInput(f"gpus must be finite and >= 0, got {self.gpus}")

    @property
    def machine(self) -> Machine:
        """How each run computes."""
        return Machine(device=self.device, compile=self.compile, deterministic=self.deterministic)  # type: ignore

    def open_pool(self, bundles: int, modules: Sequence[str]) -> Pool:
        """Who trains so many bundles."""
        return open_pool(
            bundles,
            workers=self.workers,
            machine=self.machine,
            modules=modules,
            cluster=self.cluster,
            slurm=self.slurm,
            gpus=self.gpus,
        )


@dataclass(frozen=True)
class Launch:
    """What a command line asks for.

    Attributes:
        name: Of the MLflow experiment that the runs belong to.
        experiments: The runs, each once.
        how: How to run them.
        modules: What a worker imports first: where a recipe of the user's own stands.
        help: The text to print instead, if help was asked for.
        go_on: What is launched once all of these are trained: of a recipe that chooses by what it has trained; None
            after the table itself.
    """

    name: str
    experiments: list[Experiment]
    how: How = field(default_factory=How)
    modules: tuple[str, ...] = ()
    help: str = ""
    go_on: Callable[[], "Launch"] | None = None


def read_command(verb: str, name: str, arguments: Sequence[str]) -> Launch:
    """The experiments that NAME and OPTIONS stand for.

    A recipe may be a generator: it yields the runs that it has to see trained, is sent them as the options have varied
    them, and returns the table.

    Raises:
        BadInput: a name, an option or a value that cannot be used.
    """
    program = f"python -m experiments {verb} {name}"
    options = split_options(arguments)
    recipe = find_recipe(name)
    parameters = _parameters(recipe)
    given = {path: _read(path, values, parameters[path]) for path, values in options if path in parameters}
    built = _call(recipe, name, given)
    rest = [option for option in options if option[0] not in (*parameters, "help")]
    how_names = [each.name for each in dataclasses.fields(How)]
    chosen = [(path, values) for path, values in rest if path.removeprefix("no_") in how_names]
    how = read_fields(How(), chosen, program) if chosen else How()
    fields = [option for option in rest if option not in chosen]

    def launch(built: Any, plain: str, go_on: Callable[[], Launch] | None = None) -> Launch:
        experiments = vary_all(_checked(built, name), fields, [*how_names, *parameters], program)
        text = _help(recipe, parameters, experiments[0], how, program) if "help" in dict(options) else ""
        return Launch(plain, experiments, how, _module_of(name), text, go_on)

    def advance(steps: Generator[Any, Any, Any], trained: list[Experiment] | None) -> Launch:
        try:
            with _saying(given):
                wanted = steps.send(trained)
        except StopIteration as end:
            return launch(end.value, _plain(name))
        stage = launch(wanted, search_of(_plain(name)))
        return replace(stage, go_on=lambda: advance(steps, stage.experiments))

    return advance(built, None) if inspect.isgenerator(built) else launch(built, _plain(name))


def _help(recipe: Recipe, parameters: dict[str, Any], experiment: Experiment, how: How, program: str) -> str:
    # The options as they are after those that stand beside --help: --method cdan --help shows cdan's.
    parts = [show_fields(experiment, program, " ".join((recipe.__doc__ or "").split())).rstrip(), show_choices()]
    if parameters:
        parts.append("options of the recipe:\n" + "\n".join(f"  --{n} (default: {v})" for n, v in parameters.items()))
    return "\n\n".join([*parts, show_group("how to run", how, program)])


def vary_all(
    experiments: Sequence[Experiment], options: Sequence[Option], known: Sequence[str], program: str
) -> list[Experiment]:
    """Every experiment with what the options say of its fields; one must have the field, not all.

    Raises:
        BadInput: an option that no experiment has, or a value that a field cannot have.
    """
    varied: list[Experiment] = []
    left: list[list[Option]] = []
    for experiment in experiments:
        experiment, others = vary(experiment, options, program)
        varied.append(experiment)
        left.append(others)
    nobodys = [option for option in left[0] if all(option in others for others in left)]
    leaves = [*known, *dict.fromkeys(leaf for each in varied for leaf in list_leaves(each))]
    refuse_unknown(nobodys, leaves, program)
    return list(dict.fromkeys(varied))


def find_recipe(name: str) -> Recipe:
    """The function behind a name: a recipe of the catalogue, one by its import path, a pair, or a recorded run.

    Raises:
        BadInput: there is none.
    """
    if name in RECIPES:
        return RECIPES[name]
    if ":" in name:
        found = find(name)
        if not callable(found):
            raise BadInput(f"{name} must be a recipe, a function that returns an Experiment or a list, got {found!r}")
        return found
    if re.fullmatch(r"[0-9a-f]{16}", name):
        return lambda: recorded_experiment(folder_of(name))
    if run := origin_of(name)[2]:
        forward = recorded_experiment(folder_of(run))
        backward = replace(forward, pair=name)
        check_reversed(backward, forward)
        return lambda: backward
    if "_to_" in name:
        return lambda: for_pair(name)
    raise unknown("experiment, table or pair", name, RECIPES)


def _parameters(recipe: Recipe) -> dict[str, Any]:
    # The parameters of a recipe that can be given as options: those with a default.
    try:
        signature = inspect.signature(recipe)
    except (TypeError, ValueError):
        return {}
    return {
        name: each.default for name, each in signature.parameters.items() if each.default is not inspect.Parameter.empty
    }


def _read(name: str, values: Sequence[str], default: Any) -> Any:
    kind = type(default)
    try:
        if kind not in (int, float, str) or len(values) != 1:
            raise ValueError
        return kind(values[0])
    except ValueError:
        what = {int: "a whole number", float: "a number", str: "one word"}.get(kind, "given in Python")
        raise BadInput(f"{name} must be {what}, got {' '.join(values) or 'nothing'}") from None


def _call(recipe: Recipe, name: str, arguments: dict[str, Any]) -> Any:
    try:
        inspect.signature(recipe).bind(**arguments)
    except TypeError as error:
        raise BadInput(f"{name} must be callable without arguments to be a recipe: {error}") from None
    with _saying(arguments):
        return recipe(**arguments)


@contextmanager
def _saying(arguments: dict[str, Any]) -> Iterator[None]:
    # What a recipe cannot use of what a person has given it is one line; without that, a ValueError is a bug.
    try:
        yield
    except ValueError as error:
        if not arguments or is_ours(error):
            raise
        given = ", ".join(f"{name} {value}" for name, value in arguments.items())
        raise BadInput(f"{given}: {error}") from None


def _checked(built: Any, name: str) -> list[Experiment]:
    experiments = list(built) if isinstance(built, (list, tuple)) else [built]
    wrong = [each for each in experiments if not isinstance(each, Experiment)]
    if wrong or not experiments:
        raise BadInput(f"{name} must return an Experiment or a list of them, got {wrong[0] if wrong else built!r}")
    for experiment in experiments:
        _ = experiment.hash  # refuses what has no name, such as a lambda
    return experiments


def _module_of(name: str) -> tuple[str, ...]:
    return (name.partition(":")[0],) if ":" in name else ()


def _plain(name: str) -> str:
    # As the name of an MLflow experiment.
    return name.partition(":")[2].replace(".", "_") if ":" in name else name


def check_all(experiments: Sequence[Experiment]) -> None:
    """Refuse what cannot be trained: a missing pair, or a network and a method that do not fit it.

    Raises:
        BadInput: the first that cannot.
        DatasetError: a pair that is not there.
    """
    widths: dict[Any, tuple[int, int]] = {}  # of the features, and the number of classes
    checked = set()
    for experiment in experiments:
        network, method = experiment.network, experiment.method
        check_inputs(experiment)
        place = (experiment.pair, network, experiment.augment)
        if place not in widths:
            pair = load_pair(origin_of(experiment.pair)[0])
            if experiment.augment != type(experiment.augment)():
                experiment.augment.check(pair.shape)
            classes = len(pair.class_names)
            shape = sample_shape(pair, experiment.augment)
            widths[place] = check_fit(network, shape=shape, classes=classes), classes
        if (place, method) not in checked:
            checked.add((place, method))
            with torch.random.fork_rng(devices=[]):
                for build in method.heads(network, *widths[place]).values():
                    build()
