"""`Experiment`: what is in its hash, what it refuses, how it is shown."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets import Augment
from experiments.errors import BadInput
from experiments.experiment import Experiment, show_method, show_schedule
from experiments.methods.anchors import SourceOnly
from experiments.methods.cdan import CDAN
from experiments.methods.dann import DANN
from experiments.methods.mdd import MDD
from experiments.methods.svm import SVM
from experiments.networks.mnist import MnistModern
from experiments.networks.moons import Moons
from experiments.optimisers import SGD, Adam
from experiments.recipes.base import with_method
from experiments.recipes.moons import moons
from grl.schedules import Constant, Ganin, InverseDecay

# One other value for every field; a field without an entry fails the test below.
OTHER = {
    "pair": "mnist_to_mnist_m",
    "method": CDAN(),
    "network": MnistModern(),
    "lr": InverseDecay(lr=0.123),
    "optimiser": Adam(),
    "steps": 123,
    "batch_size": 32,
    "balanced": True,
    "augment": Augment(flip=True),
    "held_out": 0.1,
    "precision": "bfloat16",
    "evaluate_every": 200,
    "log_every": 20,
    "seed": 1,
}


def test_hash_is_frozen():
    """A hash names recorded runs: a change of it is a change of every name, and must be meant."""
    assert Experiment(pair="moons").hash == "3b11b75752eb65bf"


def test_a_method_within_a_method_is_shown_as_one():
    assert show_method(SVM(after=DANN(domain_weight=1.0), c=0.1)) == "svm after dann domain_weight 1.0 c 0.1"


@pytest.mark.parametrize("field", [each.name for each in dataclasses.fields(Experiment)])
def test_every_field_is_in_the_hash(field):
    assert dataclasses.replace(moons(), **{field: OTHER[field]}).hash != moons().hash


@pytest.mark.parametrize(
    "method",
    [
        DANN(alpha=Constant(value=1.0)),
        DANN(alpha=Ganin(gamma=5.0)),
        DANN(alpha=Ganin(horizon=100)),
        DANN(domain_weight=1.0),
        DANN(batch_norm="separate"),
        DANN(label_smoothing=0.1),
        DANN(warm_up=10),
        DANN(domain_rate="alpha"),
        CDAN(entropy=True),
        CDAN(dimensions=512),
        MDD(margin=3.0),
    ],
    ids=show_method,
)
def test_every_field_of_a_method_is_in_the_hash(method):
    assert dataclasses.replace(moons(), method=method).hash != dataclasses.replace(moons(), method=type(method)()).hash


@pytest.mark.parametrize(
    "change",
    [{"optimiser": SGD(momentum=0.8)}, {"optimiser": SGD(nesterov=True)}, {"optimiser": SGD(weight_decay=0.1)}],
    ids=str,
)
def test_every_field_of_an_optimiser_is_in_the_hash(change):
    assert dataclasses.replace(moons(), **change).hash != moons().hash


@pytest.mark.parametrize("part", ["method", "network"])
def test_the_version_of_a_part_is_in_the_hash(part, monkeypatch):
    before = moons().hash
    monkeypatch.setattr(type(getattr(moons(), part)), "version", 2)
    assert moons().hash != before


def test_whole_numbers_and_floats_are_one_experiment():
    first, second = (
        dataclasses.replace(moons(), method=DANN(domain_weight=weight, alpha=Constant(value=value)))
        for weight, value in ((2, 1), (2.0, 1.0))
    )
    assert first == second
    assert first.hash == second.hash


@given(first=st.integers(0, 2**31), second=st.integers(0, 2**31))
def test_equal_hash_means_equal_experiment(first, second):
    one, other = (dataclasses.replace(moons(), seed=seed) for seed in (first, second))
    assert (one.hash == other.hash) == (one == other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "dann"}, "method must be a Method, got 'dann'"),
        ({"network": Moons}, "network must be a Network, got <class"),
        ({"lr": 0.1}, "lr must be a Schedule, got 0.1"),
        ({"optimiser": "sgd"}, "optimiser must be a Optimiser, got 'sgd'"),
        (
            {"precision": "float16"},
            "unknown precision 'float16': did you mean 'bfloat16'? allowed are bfloat16, float32",
        ),
        ({"steps": -5}, "steps must be >= 1, got -5"),
        ({"log_every": 0}, "log_every must be >= 1, got 0"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
        ({"batch_size": 127}, "batch_size must be even (half source, half target), got 127"),
        ({"evaluate_every": 15}, "evaluate_every must be a multiple of log_every (10), got 15"),
    ],
    ids=str,
)
def test_bad_fields_are_named(change, message):
    with pytest.raises(BadInput) as caught:
        dataclasses.replace(moons(), **change)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SGD(momentum=1.0), "optimiser.momentum must be in [0, 1), got 1.0"),
        (lambda: SGD(momentum=-0.1), "optimiser.momentum must be in [0, 1), got -0.1"),
        (lambda: SGD(weight_decay=-1.0), "optimiser.weight_decay must be finite and >= 0, got -1.0"),
        (lambda: SGD(momentum=0.0, nesterov=True), "optimiser.nesterov needs momentum > 0, got momentum=0"),
        (lambda: Adam(beta1=1.0), "optimiser.beta1 must be in [0, 1), got 1.0"),
        (lambda: Adam(weight_decay=float("nan")), "optimiser.weight_decay must be finite and >= 0, got nan"),
    ],
)
def test_bad_optimisers_are_named(build, message):
    with pytest.raises(BadInput) as caught:
        build()
    assert str(caught.value) == message


def test_flat_form_holds_every_number():
    flat = moons().flat()
    assert flat["method"] == "dann"
    assert flat["method.alpha"] == "Ganin"
    assert flat["method.alpha.gamma"] == "10.0"
    assert flat["network"] == "moons"
    assert flat["lr.lr"] == str(moons().lr.lr)
    assert flat["optimiser.momentum"] == "0.9"
    assert set(flat) >= {field.name for field in dataclasses.fields(Experiment)}


def test_titles_begin_with_the_method_and_what_is_unusual_about_it():
    assert show_schedule(Constant(value=0.123456)) == "Constant(0.1235)"
    assert show_schedule(Ganin()) == "Ganin(10)"
    plain = Experiment(pair="moons", network=Moons(), seed=3)
    assert plain.title == "dann seed 3 moons [moons]"
    titles = {
        DANN(alpha=Constant(value=0.5)): "dann Constant(0.5)",
        CDAN(entropy=True): "cdan entropy",
        CDAN(domain_weight=1.0): "cdan domain_weight 1.0",
        SourceOnly(): "source_only",
    }
    for method, title in titles.items():
        assert dataclasses.replace(plain, method=method).title == f"{title} seed 3 moons [moons]"


def test_another_method_takes_over_what_the_recipe_chose_of_fields_that_are_alike():
    chosen = DANN(alpha=Constant(value=0.5), domain_weight=1.5, warm_up=10, label_smoothing=0.1)
    recipe = dataclasses.replace(moons(), method=chosen)
    assert with_method(recipe, "cdan").method == CDAN(
        alpha=Constant(value=0.5), domain_weight=1.5, warm_up=10, label_smoothing=0.1
    )
    assert with_method(recipe, "mdd").method == MDD(warm_up=10, label_smoothing=0.1)  # its alpha and weight are its own
    assert with_method(recipe, "source_only").method == SourceOnly(label_smoothing=0.1)
    assert with_method(recipe, CDAN(warm_up=3)).method == CDAN(warm_up=3)
