import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.catalogue import EXPERIMENTS, TABLES
from experiments.errors import BadInput
from experiments.experiment import SGD, Experiment, show_schedule
from experiments.moons import moons
from grl.schedules import Constant, Ganin, InverseDecay


def test_hash_is_frozen():
    """A hash names recorded runs: a change of it is a change of every name, and must be meant."""
    assert Experiment(pair="moons").hash == "559b6e4a390e4e85"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"steps": 123},
        {"alpha": Constant(value=1.0)},
        {"alpha": Ganin(gamma=5.0)},
        {"lr": InverseDecay(lr=0.123)},
        {"optimiser": SGD(momentum=0.8)},
        {"domain_weight": 1.0},
        {"batch_norm": "separate"},
        {"precision": "bfloat16"},
        {"selection": "target_oracle"},
    ],
    ids=str,
)
def test_every_field_is_in_the_hash(change):
    assert dataclasses.replace(moons(), **change).hash != moons().hash


def test_whole_numbers_and_floats_are_one_experiment():
    assert dataclasses.replace(moons(), domain_weight=2, alpha=Constant(value=1)).hash == (
        dataclasses.replace(moons(), domain_weight=2.0, alpha=Constant(value=1.0)).hash
    )


@given(first=st.integers(0, 2**31), second=st.integers(0, 2**31))
def test_equal_hash_means_equal_experiment(first, second):
    one, other = (dataclasses.replace(moons(), seed=seed) for seed in (first, second))
    assert (one.hash == other.hash) == (one == other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "dan"}, "unknown method 'dan': did you mean 'dann'? allowed are dann, source_only, target_only"),
        ({"network": "moon"}, "unknown network 'moon': did you mean 'moons'?"),
        ({"selection": "lasst"}, "unknown selection 'lasst': did you mean 'last'?"),
        ({"batch_norm": "both"}, "unknown batch_norm 'both': allowed are joint, separate"),
        (
            {"precision": "float16"},
            "unknown precision 'float16': did you mean 'bfloat16'? allowed are bfloat16, float32",
        ),
        ({"steps": -5}, "steps must be >= 1, got -5"),
        ({"log_every": 0}, "log_every must be >= 1, got 0"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
        ({"batch_size": 127}, "batch_size must be even (half source, half target), got 127"),
        ({"evaluate_every": 15}, "evaluate_every must be a multiple of log_every (10), got 15"),
        ({"alpha": None}, "alpha must be a schedule for method dann, got None"),
        ({"domain_weight": float("nan")}, "domain_weight must be finite and >= 0, got nan"),
        ({"domain_weight": None}, "domain_weight must be finite and >= 0, got None"),
        ({"method": "source_only"}, "method source_only has no adversary: alpha and domain_weight must be None, got"),
    ],
    ids=str,
)
def test_bad_fields_are_named(change, message):
    with pytest.raises(BadInput) as caught:
        dataclasses.replace(moons(), **change)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [("momentum", 1.0, "in [0, 1)"), ("momentum", -0.1, "in [0, 1)"), ("weight_decay", -1.0, "finite and >= 0")],
)
def test_bad_optimiser(field, value, allowed):
    with pytest.raises(BadInput) as caught:
        SGD(**{field: value})
    assert str(caught.value) == f"optimiser.{field} must be {allowed}, got {value}"


def test_with_method_keeps_the_recipe():
    recipe = dataclasses.replace(moons(), alpha=Constant(value=0.3), domain_weight=1.0)
    plain = recipe.with_method("source_only")
    assert (plain.alpha, plain.domain_weight, plain.lr, plain.steps) == (None, None, recipe.lr, recipe.steps)
    assert recipe.with_method("dann") == recipe
    assert plain.with_method("dann").alpha == Ganin()


def test_flat_form_holds_every_number():
    flat = moons().flat()
    assert flat["alpha"] == "Ganin"
    assert flat["alpha.gamma"] == "10.0"
    assert flat["lr.lr"] == str(moons().lr.lr)
    assert flat["optimiser.momentum"] == "0.9"
    assert set(flat) >= {field.name for field in dataclasses.fields(Experiment)}


def test_every_named_experiment_can_be_built_and_tables_have_no_run_twice():
    for build in EXPERIMENTS.values():
        assert build().hash
    for table in TABLES.values():
        hashes = [experiment.hash for experiment in table()]
        assert len(set(hashes)) == len(hashes)
        methods = {experiment.method for experiment in table(seeds=1)}
        assert {"source_only", "dann", "target_only"} <= methods
        with pytest.raises(BadInput, match="seeds must be >= 1, got 0"):
            table(seeds=0)


def test_schedules_on_one_line_and_in_titles():
    assert show_schedule(Constant(value=0.123456)) == "Constant(value=0.1235)"
    assert show_schedule(Ganin()) == "Ganin(gamma=10, alpha_max=1)"
    plain = Experiment(pair="moons", network="moons", seed=3)
    assert plain.title == "dann moons seed 3 [moons]"
    assert dataclasses.replace(plain, alpha=Constant(value=0.5)).title == (
        "dann moons seed 3 alpha Constant(value=0.5) [moons]"
    )
    assert plain.with_method("source_only").title == "source_only moons seed 3 [moons]"
