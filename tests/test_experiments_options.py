"""Options of a command line: every field by its path, in any order, and one line about each mistake."""

import dataclasses
import itertools
import shlex

import pytest

from experiments.errors import BadInput
from experiments.experiment import Experiment
from experiments.launch import How
from experiments.methods import METHODS
from experiments.methods.cdan import CDAN
from experiments.methods.dann import DANN
from experiments.networks import NETWORKS
from experiments.networks.cnn import CNN
from experiments.optimisers import OPTIMISERS, SGD, Adam
from experiments.options import CHOICES, SCHEDULES, show_fields, split_options, vary
from experiments.recipes.moons import moons
from grl.schedules import Constant, Ganin, InverseDecay, Linear
from sweeps.launch import Order
from tests.support.trainings import small_moons

PROGRAM = "python -m experiments run moons"


def varied(line: str, experiment: Experiment | None = None) -> Experiment:
    """The experiment with the options of a line, all of which must be its own."""
    found, others = vary(experiment or moons(), split_options(shlex.split(line)), PROGRAM)
    assert others == []
    return found


@pytest.mark.parametrize(
    "default",
    [
        *(Experiment(pair="moons"), How(), Order()),
        *(kind() for choices in CHOICES.values() for kind in choices.values()),
    ],
    ids=lambda default: type(default).__name__,
)
def test_help_breaks_no_line_of_its_own(default, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    lines = show_fields(default, PROGRAM, "").splitlines()
    goes_on = [line.startswith(12 * " ") and not line.isspace() for line in lines]  # no option, no title
    assert not any(one and next for one, next in itertools.pairwise(goes_on))


def test_no_option_changes_nothing():
    assert varied("") == moons()


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        ("--steps 5", "steps", 5),
        ("--steps=5", "steps", 5),
        ("--batch-size 6", "batch_size", 6),
        ("--batch_size 6", "batch_size", 6),
        ("--precision bfloat16", "precision", "bfloat16"),
        ("--lr 0.1", "lr", InverseDecay(lr=0.1)),
        ("--lr.power 0.5", "lr", InverseDecay(lr=0.3, power=0.5)),
        ("--lr constant --lr.value 0.1", "lr", Constant(value=0.1)),
        ("--lr.value 0.1 --lr constant", "lr", Constant(value=0.1)),
        ("--lr.horizon 100", "lr", InverseDecay(lr=0.3, horizon=100)),
        ("--alpha constant --alpha.value 0.3", "method", DANN(alpha=Constant(value=0.3))),
        ("--alpha 0.3", "method", DANN(alpha=Constant(value=0.3))),
        ("--alpha.gamma 5", "method", DANN(alpha=Ganin(gamma=5.0))),
        ("--method.alpha.gamma 5", "method", DANN(alpha=Ganin(gamma=5.0))),
        ("--alpha linear --alpha.end 0.5", "method", DANN(alpha=Linear(end=0.5))),
        ("--domain-weight 1", "method", DANN(domain_weight=1.0)),
        ("--batch-norm separate", "method", DANN(batch_norm="separate")),
        ("--method cdan --method.entropy", "method", CDAN(entropy=True)),
        ("--method cdan --entropy", "method", CDAN(entropy=True)),
        ("--entropy --method cdan", "method", CDAN(entropy=True)),
        ("--method cdan --method.no-entropy", "method", CDAN()),
        ("--method cdan --no-entropy", "method", CDAN()),
        ("--network cnn --network.channels 3 4", "network", CNN(channels=(3, 4))),
        ("--balanced", "balanced", True),
        ("--balanced --no-balanced", "balanced", False),
        ("--optimiser.no-nesterov", "optimiser", SGD()),
        ("--optimiser adam --optimiser.beta1 0.5", "optimiser", Adam(beta1=0.5)),
        ("--optimiser.nesterov", "optimiser", SGD(nesterov=True)),
    ],
)
def test_each_field_by_its_path(line, field, expected):
    assert varied(line) == dataclasses.replace(moons(), **{field: expected})


def test_the_order_of_options_makes_no_difference():
    parts = ("--method cdan", "--entropy", "--alpha constant", "--alpha.value 0.3", "--lr 0.1")
    found = {varied(" ".join(order)) for order in itertools.permutations(parts)}
    method = CDAN(entropy=True, alpha=Constant(value=0.3))
    assert found == {dataclasses.replace(moons(), method=method, lr=InverseDecay(lr=0.1))}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_by_its_name(name):
    assert varied(f"--method {name}").method == METHODS[name]()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_by_its_name(name):
    assert varied(f"--network {name}").network == NETWORKS[name]()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_by_its_name(name):
    assert varied(f"--optimiser {name}").optimiser == OPTIMISERS[name]()


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_by_its_name(name):
    assert varied(f"--alpha {name}").method.alpha == SCHEDULES[name]()
    found = varied(f"--lr {name}").lr
    assert found == (moons().lr if name == "inverse_decay" else SCHEDULES[name]())  # what it is, it stays


def test_a_method_takes_over_what_the_recipe_chose():
    recipe = small_moons(alpha=Constant(value=0.3), domain_weight=1.0)
    assert varied("--method cdan", recipe).method == CDAN(alpha=Constant(value=0.3), domain_weight=1.0)
    assert varied("--method source_only", recipe).method == METHODS["source_only"]()
    assert varied("--method dann", recipe).method == recipe.method


def test_what_is_no_field_is_handed_back():
    _, others = vary(moons(), split_options(["--steps", "5", "--seeds", "3", "--margin", "2"]), PROGRAM)
    assert others == [("seeds", ["3"]), ("margin", ["2"])]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--steps many", "--steps must be a whole number, got 'many'"),
        ("--steps 1.5", "--steps must be a whole number, got '1.5'"),
        ("--steps", "Missing value for argument '--steps'"),
        ("--steps -5", "steps must be >= 1, got -5"),
        ("--domain-weight x", "--method.domain-weight must be a number, got 'x'"),
        ("--domain-weight nan", "method.domain_weight must be finite and >= 0, got nan"),
        (
            "--precision float16",
            "invalid choice 'float16' for argument '--precision'. Expected one of ('float32', 'bfloat16')",
        ),
        ("--batch-size 127", "batch_size must be even (half source, half target), got 127"),
        ("--optimiser.momentum 1", "optimiser.momentum must be in [0, 1), got 1.0"),
        ("--alpha constant --alpha.value -1", "method.alpha: value must be finite and >= 0, got -1.0"),
        ("--alpha nan", "method.alpha: value must be finite and >= 0, got nan"),
        ("--lr 0", "lr: lr must be finite and > 0, got 0.0"),
        ("--method dan", "unknown method 'dan': did you mean 'dann'? allowed are bnm, cdan, "),
        ("--method=dan", "unknown method 'dan': did you mean 'dann'?"),
        ("--network monns", "unknown network 'monns': did you mean 'moons'?"),
        ("--alpha gannin", "unknown method.alpha 'gannin': did you mean 'ganin'?"),
        ("--method", "method must be one of source_only, "),
        ("--alpha constant 0.3", "alpha must be one of constant, "),
        ("--method experiments.methods:METHODS", "method must be a Method, got experiments.methods:METHODS"),
        ("--method experiments.methods.mdd:MDDD", "module 'experiments.methods.mdd' has no 'MDDD'"),
        ("--network experiments.networks.own:Cut", "network: Cut.__init__() missing 2 required keyword-only arguments"),
        ("--network cnn --network.channels 3 0", "network.channels must be layers of >= 1 channel, got (3, 0)"),
    ],
)
def test_a_mistake_is_one_line_that_names_field_value_and_what_is_allowed(line, message):
    with pytest.raises(BadInput) as caught:
        varied(line)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_value_must_follow_an_option():
    with pytest.raises(BadInput, match="options begin with --, got 'five'"):
        split_options(["five"])
