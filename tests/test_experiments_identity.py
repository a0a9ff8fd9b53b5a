"""What a value is called in a hash, found again by its name, and rebuilt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from experiments.errors import BadInput
from experiments.experiment import Experiment
from experiments.identity import added, describe, digest_foreign_source, find, name_of, path_of, rebuild
from experiments.methods import METHODS
from experiments.methods.dann import DANN
from experiments.networks import NETWORKS, Parts
from experiments.networks.cnn import CNN
from experiments.optimisers import OPTIMISERS
from experiments.options import SCHEDULES
from experiments.recipes import RECIPES
from grl.schedules import Constant, Ganin, InverseDecay, Linear
from tests.support.trainings import small_moons

HERE = __name__


def a_function() -> int:
    return 3


@dataclass(frozen=True, kw_only=True)
class Inner:
    factor: float = 1


@dataclass(frozen=True, kw_only=True)
class Outer:
    """Annotations of this module are postponed: they are text until someone resolves them."""

    number: float = 10
    maybe: float | None = None
    count: int = 10
    either: int | float = 10
    pair: tuple[float, float] = (1, 2)
    many: tuple[float, ...] = (1, 2)
    mixed: tuple[int, float] = (1, 2)
    inner: Inner = Inner()
    build: Callable[[], int] = a_function
    kind: type = Inner
    flag: bool = True
    text: str = "a:b"
    names: tuple[str, ...] = ("a:b", "c")
    some: tuple[float, ...] | None = (1, 2)
    note: str | None = "a:b"


@dataclass(frozen=True, kw_only=True)
class Unresolvable:
    number: Nowhere = 1  # noqa: F821  # pyright: ignore


def test_a_value_becomes_names_and_plain_values():
    assert describe(Outer()) == {
        "class": f"{HERE}:Outer",
        "number": 10.0,
        "maybe": None,
        "count": 10,
        "either": 10,
        "pair": [1.0, 2.0],
        "many": [1.0, 2.0],
        "mixed": [1, 2.0],
        "inner": {"class": f"{HERE}:Inner", "factor": 1.0},
        "build": f"{HERE}:a_function",
        "kind": f"{HERE}:Inner",
        "flag": True,
        "text": "a:b",
        "names": ["a:b", "c"],
        "some": [1.0, 2.0],
        "note": "a:b",
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Outer(number=10), Outer(number=10.0)),
        (Outer(maybe=3), Outer(maybe=3.0)),
        (Outer(pair=(1, 2)), Outer(pair=(1.0, 2.0))),
        (Outer(many=(1, 2, 3)), Outer(many=(1.0, 2.0, 3.0))),
        (Outer(mixed=(1, 2)), Outer(mixed=(1, 2.0))),
        (Outer(some=(1, 2)), Outer(some=(1.0, 2.0))),
        (Outer(inner=Inner(factor=2)), Outer(inner=Inner(factor=2.0))),
    ],
    ids=["number", "or none", "pair", "many", "mixed", "many or none", "inner"],
)
def test_10_equals_10_0_where_the_field_is_a_float(one, other):
    assert json.dumps(describe(one)) == json.dumps(describe(other))


@dataclass(frozen=True, kw_only=True)
class Grown(Inner):
    limit: int = added(4096)


def test_a_field_that_was_added_is_told_where_it_is_not_as_before():
    before = {"class": f"{HERE}:Grown", "factor": 1.0}
    assert describe(Grown()) == before
    assert describe(Grown(limit=5)) == before | {"limit": 5}
    for one in (Grown(), Grown(limit=5)):
        assert rebuild(describe(one, name=path_of)) == one
    with pytest.raises(TypeError):
        Grown(5)  # as any other


def test_other_values_have_other_descriptions():
    base = describe(Outer())
    for change in ({"number": 11}, {"count": 11}, {"many": (1,)}, {"flag": False}, {"build": test_a_value_becomes}):
        assert describe(Outer(**change)) != base


def test_a_value_becomes():
    """A second function with a name, for the test above."""
    assert a_function() == 3


def test_our_own_classes_go_by_their_name_and_foreign_ones_by_module_too():
    assert name_of(DANN) == "DANN"
    assert name_of(Outer) == f"{HERE}:Outer"
    assert path_of(DANN) == "experiments.methods.dann:DANN"


def test_a_foreign_class_of_our_name_is_another():
    @dataclass(frozen=True, kw_only=True)
    class Mine(DANN):
        pass

    Mine.__module__, Mine.__qualname__ = "mine", "DANN"
    assert small_moons(method=Mine()).hash != small_moons().hash
    assert small_moons(method=Mine()).description["method"]["class"] == "mine:DANN"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: 1, "<lambda> has no name that can be imported; define it at the top of its module"),
        ({"a": 1}, "value must be a number, text, None, a tuple of these"),
        (Outer(inner={1}), "value.inner must be a number"),
        (Unresolvable(), f"annotations of {HERE}:Unresolvable cannot be resolved: name 'Nowhere'"),
    ],
    ids=["lambda", "dict", "set in a field", "annotation"],
)
def test_what_has_no_name_is_refused(value, message):
    with pytest.raises(BadInput) as caught:
        describe(value)
    assert message in str(caught.value)


def test_a_lambda_in_a_network_has_no_hash():
    with pytest.raises(BadInput, match="has no name that can be imported"):
        small_moons(network=Parts(extractor=lambda: None)).hash  # noqa: B018


# Rebuilding


def everything() -> dict[str, Experiment]:
    named = {}
    for name, recipe in RECIPES.items():
        built = recipe()
        named[name] = built if isinstance(built, Experiment) else (built if isinstance(built, list) else next(built))[0]
    methods = {f"--method {name}": small_moons(method=method()) for name, method in METHODS.items()}
    networks = {f"--network {name}": small_moons(network=network()) for name, network in NETWORKS.items()}
    optimisers = {f"--optimiser {name}": small_moons(optimiser=each()) for name, each in OPTIMISERS.items()}
    schedules = {f"--alpha {name}": small_moons(alpha=each()) for name, each in SCHEDULES.items()}
    fields = {
        "tuple": small_moons(network=CNN(channels=(3, 4))),
        "none or number": small_moons(alpha=Ganin(horizon=100)),
        "functions": small_moons(network=Parts(extractor=a_function)),
    }
    return named | methods | networks | optimisers | schedules | fields


@pytest.mark.parametrize("name", everything())
def test_every_entry_is_rebuilt_from_its_description(name):
    experiment = everything()[name]
    again = rebuild(describe(experiment, name=path_of))
    assert again == experiment
    assert again.hash == experiment.hash


def test_foreign_values_are_rebuilt_too():
    assert rebuild(describe(Outer(), name=path_of)) == Outer()


# Finding


def test_objects_are_found_by_their_path(own):
    assert find("grl.schedules:Ganin") is Ganin
    own("mine_found", "class A:\n    class B:\n        pass")
    assert find("mine_found:A.B").__qualname__ == "A.B"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module:x", "there is no module 'no_such_module' to import for 'no_such_module:x'"),
        ("grl.nothing:x", "there is no module 'grl.nothing' to import"),
        ("grl.schedules:Gannin", "module 'grl.schedules' has no 'Gannin'"),
        ("grl.schedules:", "'grl.schedules:' is no import path; write package.module:name"),
        ("../grl:x", "'../grl:x' is no import path"),
        ("grl.schedules:Ganin()", "is no import path"),
    ],
)
def test_what_is_not_there_is_one_line(path, message):
    with pytest.raises(BadInput) as caught:
        find(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import no_such_module_at_all", ModuleNotFoundError),
        ("1 / 0", ZeroDivisionError),
        ("def f(:", SyntaxError),
        ("from grl.schedules import Gannin", ImportError),
    ],
)
def test_a_bug_in_a_foreign_module_keeps_its_traceback(own, text, error):
    name = own("mine_broken", text)
    with pytest.raises(error) as caught:
        find(f"{name}:x")
    assert not isinstance(caught.value, BadInput)


# The source


def test_the_digest_changes_with_the_source_and_only_there(own):
    text = """
    from dataclasses import dataclass
    from experiments.methods.dann import DANN
    @dataclass(frozen=True, kw_only=True)
    class Mine(DANN):
        name = "mine"
    """
    name = own("mine_digest", text)
    experiment = small_moons(method=find(f"{name}:Mine")())
    before = digest_foreign_source(experiment.description)
    assert len(before) == 16
    assert digest_foreign_source(experiment.description) == before
    own("mine_digest", text + "    # changed")
    find(f"{name}:Mine")
    assert digest_foreign_source(experiment.description) != before
    assert digest_foreign_source(small_moons().description) == ""


def test_plain_text_with_a_colon_is_no_module():
    assert digest_foreign_source({"class": "Experiment", "note": "a:b"}) == ""


@pytest.mark.parametrize("schedule", [Constant(), Linear(), InverseDecay(), Ganin()])
def test_a_schedule_as_learning_rate_is_told_from_one_as_alpha(schedule):
    assert small_moons(lr=schedule).hash != small_moons(alpha=schedule).hash
