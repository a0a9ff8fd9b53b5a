"""What a value is called in a run's hash: the same for equal values, another for any that computes otherwise.

Frozen dataclasses become their class and their fields. A class or function of this repository goes by its name, one
from outside by `package.module:name`, so that two of the same name are told apart.
"""

import dataclasses
import functools
import hashlib
import importlib
import inspect
import pkgutil
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from experiments.errors import BadInput

OURS = ("grl", "datasets", "experiments", "sweeps")
ORIGIN = re.compile(r"(?P<pair>.+)_(?P<kind>reversed|circular)_(?P<run>[0-9a-f]{16})")


def name_of(thing: Any) -> str:
    """The name of a class or function: `Ganin`, or `package.module:Class` of one from outside."""
    module, name = thing.__module__, thing.__qualname__
    if module.split(".")[0] in OURS:
        return name
    if "<" in name:  # <lambda>, <locals>
        raise BadInput(f"{module}:{name} has no name that can be imported; define it at the top of its module")
    return f"{module}:{name}"


def path_of(thing: Any) -> str:
    """Where a class or function can be imported from: `grl.schedules:Ganin`."""
    return f"{thing.__module__}:{thing.__qualname__}"


def added(default: Any) -> Any:
    """A field that its class gained later, with the value that stands for what the class did before.

    At that value it is left out of what is described: the runs of before keep their hash.
    """
    return dataclasses.field(default=default, metadata={"added": True})


def describe(value: Any, declared: Any = None, path: str = "value", *, name: Callable[[Any], str] = name_of) -> Any:
    """Nested plain values that say what `value` is, ready for JSON.

    Args:
        value: A number, text, None, a tuple, a frozen dataclass, a class or a function.
        declared: Its annotation; where that is a float, 10 and 10.0 are one value.
        path: Of the field, for messages.
        name: Of a class or function.

    Raises:
        BadInput: It is nothing of that, or a class whose annotations cannot be resolved.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        declarations = hints_of(type(value))
        described = {"class": name(type(value))}
        if (version := getattr(value, "version", None)) is not None:
            described["version"] = version
        for each in dataclasses.fields(value):
            inner, inner_path = getattr(value, each.name), f"{path}.{each.name}"
            if "added" in each.metadata and inner == each.default:
                continue
            described[each.name] = describe(inner, declarations.get(each.name), inner_path, name=name)
        return described
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, float)):
        return float(value) if _is_float(declared) else value
    if isinstance(value, (tuple, list)):
        kinds = _kinds_of_items(declared, len(value))
        return [describe(each, kind, path, name=name) for each, kind in zip(value, kinds, strict=True)]
    if isinstance(value, (type, types.FunctionType)):
        return name(value)
    raise BadInput(
        f"{path} must be a number, text, None, a tuple of these, a frozen dataclass, a class or a function, "
        f"got {value!r}"
    )


def rebuild(described: Any, declared: Any = None) -> Any:
    """The value that `describe(value, name=path_of)` was made of.

    Raises:
        BadInput: A class or function that it names cannot be imported.
    """
    if isinstance(described, dict):
        cls = find(described["class"])
        declarations = hints_of(cls)
        names = [each.name for each in dataclasses.fields(cls) if each.name in described]
        return cls(**{name: rebuild(described[name], declarations.get(name)) for name in names})
    if isinstance(described, list):
        kinds = _kinds_of_items(declared, len(described))
        return tuple(rebuild(each, kind) for each, kind in zip(described, kinds, strict=True))
    is_name = isinstance(described, str) and ":" in described and str not in _choices(declared)
    return find(described) if is_name else described


def find(path: str) -> Any:
    """The object at `package.module:name`.

    Raises:
        BadInput: It cannot be imported; naming the path and the reason.
    """
    module, _, name = path.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise BadInput(f"{path!r} is no import path; write package.module:name")
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise  # the module is there, and what it imports is not: its own traceback says where
        raise BadInput(f"there is no module {module!r} to import for {path!r}; is its folder in PYTHONPATH?") from None
    try:
        return pkgutil.resolve_name(path)
    except AttributeError:
        raise BadInput(f"module {module!r} has no {name!r}") from None


@functools.cache
def hints_of(cls: type) -> dict[str, Any]:
    """The annotations of a dataclass, those that were postponed resolved.

    Raises:
        BadInput: One names nothing that can be found at run time.
    """
    try:
        return typing.get_type_hints(cls)
    except NameError as error:
        raise BadInput(f"annotations of {cls.__module__}:{cls.__qualname__} cannot be resolved: {error}") from None


def _choices(declared: Any) -> tuple[Any, ...]:
    # The members of a union, or the one type that is declared.
    is_union = typing.get_origin(declared) in (typing.Union, types.UnionType)
    return typing.get_args(declared) if is_union else (declared,)


def _is_float(declared: Any) -> bool:
    choices = _choices(declared)
    return float in choices and int not in choices


def _kinds_of_items(declared: Any, count: int) -> list[Any]:
    # What each item of a tuple is declared as: tuple[int, float], tuple[float, ...] or list[float].
    for each in _choices(declared):
        if typing.get_origin(each) in (tuple, list):
            inner = [kind for kind in typing.get_args(each) if kind is not Ellipsis]
            return inner if len(inner) == count else [inner[0]] * count
    return [None] * count


def flatten(described: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """A description as pairs of text for MLflow params: `method` is a name, `method.alpha.gamma` a field of a field."""
    flat: dict[str, str] = {}
    for key, value in described.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            flat[path] = str(value.get("name", value["class"]))
            hidden = {"name", *(["class"] if ":" not in value["class"] else [])}
            hidden |= {"version"} if value.get("version", 1) == 1 else set()
            flat |= flatten({name: inner for name, inner in value.items() if name not in hidden}, f"{path}.")
        else:
            flat[path] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return flat


def digest_foreign_source(described: Any) -> str:
    """16 digits over the source of every module from outside that a description names; empty where there is none.

    Such a module may change while its names stay: a run is done only if it was trained with the same source. Modules
    that it imports in turn are not looked at.
    """
    sha = hashlib.sha256()
    modules = sorted(set(_foreign_modules(described)))
    for name in modules:
        module = sys.modules.get(name)
        file = inspect.getsourcefile(module) if module is not None and hasattr(module, "__file__") else None
        sha.update(name.encode() + b"\0" + (Path(file).read_bytes() if file and Path(file).exists() else b""))
    return sha.hexdigest()[:16] if modules else ""


def _foreign_modules(described: Any) -> Iterator[str]:
    if isinstance(described, dict):
        for value in described.values():
            yield from _foreign_modules(value)
    elif isinstance(described, list):
        for value in described:
            yield from _foreign_modules(value)
    elif isinstance(described, str) and ":" in described:
        module, _, name = described.partition(":")
        if module in sys.modules and name:
            yield module


def origin_of(pair: str) -> tuple[str, str, str]:
    """The pair of domains, `reversed` or `circular`, and the hash of the run that a pair's name says it is made of.

    The last two are empty for a pair of domains.
    """
    found = ORIGIN.fullmatch(pair)
    return (found["pair"], found["kind"], found["run"]) if found else (pair, "", "")
