"""The health of a finished run: what its numbers say together, and the name of each planted fault."""

import dataclasses
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from experiments.__main__ import main
from experiments.methods.anchors import SourceOnly, TargetOnly
from experiments.methods.dann import DANN
from experiments.methods.mdd import MDD
from experiments.methods.svm import SVM
from experiments.networks.moons import Moons
from experiments.record import names
from experiments.record.files import read_json
from experiments.record.folder import folder_of
from experiments.training.adversary import measure_adversary
from experiments.training.alone import Alone, build_for
from experiments.training.machine import copy_to_cpu
from experiments.work.health import examine_run, measure_rank
from experiments.work.run import shares_told_apart, train_runs
from grl import gradient_reversal, gradient_scale
from grl.losses import domain_loss
from grl.schedules import Constant
from tests.support.small_runs import small_moons
from tests.support.trainings import CPU, image_pair, on_images, train_alone

# Planted faults


@dataclass(frozen=True, kw_only=True)
class BlankHead(Moons):
    """A domain classifier whose weights are 0: nothing passes through its hidden units, forward or backward."""

    name = "blank_head"

    def domain_head(self, width):
        head = super().domain_head(width)
        for weight in head.parameters():
            nn.init.zeros_(weight)
        return head


@dataclass(frozen=True, kw_only=True)
class Unlearning(DANN):
    """A domain classifier that is never updated, as with a learning rate of 0."""

    name = "unlearning"

    def adversary(self, networks, passed, alpha):
        head = networks.heads["domain_classifier"]
        weights = {name: weight.detach() for name, weight in head.named_parameters()}
        seen = gradient_reversal(passed.features, alpha)
        logits = functional_call(head, weights, (seen,))
        return (
            super()
            .adversary(networks, passed, alpha)
            ._replace(loss=domain_loss(logits, passed.domain_labels), domain_logits=logits)
        )


@dataclass(frozen=True, kw_only=True)
class Twice(DANN):
    """Alpha in the reversal, and once more on the gradient that leaves it."""

    name = "twice"

    def adversary(self, networks, passed, alpha):
        return super().adversary(networks, passed._replace(features=gradient_scale(passed.features, alpha)), alpha)


@dataclass(frozen=True, kw_only=True)
class Shuffled(TargetOnly):
    """Trains on target labels that belong to other samples."""

    name = "shuffled"
    together = False

    def losses(self, networks, passed, **scheduled):
        order = torch.randperm(len(passed.labels))
        return super().losses(networks, passed._replace(labels=passed.labels[order]), **scheduled)


@dataclass(frozen=True, kw_only=True)
class Collapsing(DANN):
    """Draws every target sample into the first class."""

    name = "collapsing"
    predicts = "all"

    def losses(self, networks, passed, **scheduled):
        found = super().losses(networks, passed, **scheduled)
        target = passed.label_logits[len(passed.labels) :]
        return found._replace(
            objective=found.objective + 20 * cross_entropy(target, torch.zeros(len(target), dtype=int))
        )


def health_of(experiment) -> dict:
    train_runs([experiment])
    return read_json(folder_of(experiment.hash) / names.RESULT)["health"]


@pytest.mark.parametrize(
    ("changes", "fault", "figure"),
    [
        ({"network": BlankHead()}, "dead adversary", "its gradient at the features is 0.0e+00 of the label loss's"),
        (
            {"method": Unlearning()},
            "dead adversary",
            "the weights of the domain classifier are those that it began with",
        ),
        ({"method": Twice(alpha=Constant(value=0.5))}, "applied twice", "doctor: "),
        ({"method": Shuffled()}, "useless labels", "(guessing: ln 2 = 0.693)"),
        ({"method": Collapsing()}, "collapse", "target predictions use 1 of 2 classes"),
    ],
    ids=lambda value: "",
)
def test_a_planted_fault_is_named(runs, changes, fault, figure):
    health = health_of(small_moons(**changes))
    assert fault in health["status"].split(", "), health["report"]
    lines = [line for line in health["report"].splitlines() if line.startswith(f"- **{fault}**")]
    assert any(figure in line for line in lines), health["report"]


def test_a_good_run_is_healthy_says_so_everywhere_and_answers_what_its_domain_loss_means(runs, capsys):
    experiment = small_moons()
    health = health_of(experiment)
    assert health["status"] == "healthy", health["report"]
    for word in ("domain accuracy", "domain loss", "ln 2", "proxy A-distance", "cosine", "effective rank", "doctor: "):
        assert word in health["report"]
    result = read_json(folder_of(experiment.hash) / names.RESULT)
    assert -1 <= result["metrics"][names.GRADIENT_COSINE] <= 1
    assert result["metrics"][names.GRADIENT_RATIO] > 0
    assert result["metrics"][names.ADVERSARY_MOVED] > 0
    assert main(["show", experiment.hash]) == 0
    printed = capsys.readouterr().out
    assert health["report"].splitlines()[1] in printed


def test_a_result_of_an_earlier_version_has_no_health_and_can_be_shown(runs, capsys):
    experiment = small_moons()
    train_runs([experiment])
    path = folder_of(experiment.hash) / names.RESULT
    result = json.loads(path.read_text())
    del result["health"]
    path.write_text(json.dumps(result))
    assert main(["show", experiment.hash]) == 0
    assert "health" not in capsys.readouterr().out


# What the numbers say together

NUMBERS = {
    names.PROXY_A_DISTANCE: 0.1,
    names.DOMAIN_LOSS: 0.69,
    names.DOMAIN_ACCURACY: 0.51,
    names.LABEL_LOSS: 0.05,
    "source_validation_accuracy": 0.95,
    names.SOURCE_ACCURACY: 0.95,
}
SEEN = {
    names.TARGET_LOGITS: 9.0 * np.eye(3)[np.arange(90) % 3],
    names.TARGET_FEATURES: np.eye(4)[np.arange(90) % 4],
    names.SOURCE_LABELS: np.arange(60) % 3,
    names.LABELS: np.arange(120) % 3,
}


def examine(*, seen=SEEN, shares=(0.5, 0.5), method=DANN(), verdict=None, **numbers):  # noqa: B008
    return examine_run(NUMBERS | numbers, seen, shares=shares, method=method, verdict=verdict)


@pytest.mark.parametrize(
    ("numbers", "meaning"),
    [
        ({}, "the domains are confused"),
        ({"proxy_a_distance": 1.8}, "the domains are not confused, the classifier does not see it"),
        ({"domain_loss": 0.3, "domain_accuracy": 0.9}, "the domain classifier tells the domains apart"),
        ({"domain_loss": 1.3}, "the domain classifier is surer than it is right"),
        ({"shares": (1 / 3,) * 3, "domain_loss": 1.1, "domain_accuracy": 0.34}, "at chance, ln 3, and"),
        ({"shares": (1 / 3,) * 3}, "below ln 3 = 1.099: the domain classifier tells the domains apart"),
        ({"shares": (2 / 3, 1 / 3), "domain_loss": 0.64}, "(chance 0.667), domain loss 0.640: at chance, the entropy"),
        ({"shares": (2 / 3, 1 / 3)}, "above the entropy of 2 unequal shares = 0.637"),
    ],
)
def test_what_a_domain_loss_means(numbers, meaning):
    health = examine(**numbers)
    assert meaning in health.report
    assert health.status == "healthy"  # a loss at chance is no fault by itself


def test_a_domain_loss_without_an_accuracy_is_examined():
    numbers = {name: value for name, value in NUMBERS.items() if name != names.DOMAIN_ACCURACY}
    health = examine_run(numbers, SEEN, shares=(0.5, 0.5), method=DANN(), verdict=None)
    assert "- domain loss 0.690: at chance, ln 2, and" in health.report


def test_a_fit_is_judged_by_its_accuracy_alone():
    assert examine(method=SVM(), label_loss=1.2).status == "healthy"
    assert "label loss" not in examine(method=SVM(), label_loss=1.2).report
    assert examine(method=SVM(), label_loss=0.1, source_validation_accuracy=0.3).status == "useless labels"
    assert examine(method=SourceOnly(), label_loss=1.2).status == "useless labels"


def test_an_adversary_of_several_domains_tells_all_of_them_apart_or_sources_from_targets():
    pair = dataclasses.replace(image_pair(), source=by_thirds(image_pair().source))
    for method, shares in ((DANN(), (1 / 3,) * 3), (MDD(), (2 / 3, 1 / 3))):
        networks = build_for(on_images(method=method), pair)
        assert shares_told_apart(networks, pair) == pytest.approx(shares)


def by_thirds(split):
    return dataclasses.replace(split, domains=torch.arange(len(split)) // (len(split) // 2))


def test_a_run_with_several_faults_names_them_all():
    seen = SEEN | {names.TARGET_LOGITS: np.eye(3)[np.zeros(90, int)]}
    health = examine(seen=seen, adversary_moved=0.0, source_validation_accuracy=0.3, verdict=("on the loss", "Alpha …"))
    assert health.status == "dead adversary, collapse, useless labels, on the loss"
    assert health.report.count("**") == 8


def test_a_method_without_adversary_and_a_source_without_test_split_are_examined():
    numbers = {name: NUMBERS[name] for name in (names.PROXY_A_DISTANCE, names.SOURCE_ACCURACY)}
    seen = {name: values for name, values in SEEN.items() if name != names.SOURCE_LABELS}
    health = examine_run(numbers, seen, shares=(0.5, 0.5), method=SourceOnly(), verdict=None)
    assert health.status == "healthy"
    assert "domain loss" not in health.report


def test_an_imbalance_that_the_source_has_is_no_collapse():
    rare = np.array([0] * 57 + [1, 2, 2])
    seen = SEEN | {names.SOURCE_LABELS: rare, names.TARGET_LOGITS: np.eye(3)[np.resize(rare, 90)]}
    assert "collapse" not in examine(seen=seen).status
    even = SEEN | {names.TARGET_LOGITS: np.eye(3)[np.resize(rare, 90)]}
    assert "collapse" in examine(seen=even).status


def test_features_in_a_point_are_a_collapse():
    assert examine(seen=SEEN | {names.TARGET_FEATURES: np.ones((90, 4), np.float16)}).status == "collapse"
    random = np.random.default_rng(0)
    assert measure_rank(random.normal(size=(5000, 8))) == pytest.approx(8, abs=0.1)
    assert measure_rank(np.outer(random.normal(size=50), [1, 2, 3])) == pytest.approx(1, abs=1e-6)


# What is measured of an adversary


def test_what_is_measured_of_an_adversary(moons_pair):
    """Half of alpha is half of the gradient; what the weights have moved is counted over all of the head's."""
    experiment = small_moons(method=DANN(alpha=Constant(value=1.0)), steps=5, evaluate_every=5)
    trained = train_alone(experiment, moons_pair)
    networks = trained.networks()
    mean = (moons_pair.source.mean() + moons_pair.target.mean()) / 2
    begun = Alone(experiment, moons_pair, CPU).networks.heads.state_dict()
    found = measure_adversary(experiment, networks, begun, moons_pair, mean)
    assert measure_adversary(experiment, networks, begun, moons_pair, mean) == found
    half = small_moons(method=DANN(alpha=Constant(value=0.5)), steps=5, evaluate_every=5)
    assert measure_adversary(half, networks, begun, moons_pair, mean)[names.GRADIENT_RATIO] == pytest.approx(
        found[names.GRADIENT_RATIO] / 2, rel=1e-4
    )
    first, last = (torch.cat([each[name].flatten() for name in begun]) for each in (begun, networks.heads.state_dict()))
    assert found[names.ADVERSARY_MOVED] == pytest.approx(float((last - first).norm() / first.norm()), rel=1e-5)
    assert measure_adversary(small_moons(method="coral"), networks, begun, moons_pair, mean) == {}


def test_measuring_leaves_no_trace():
    """BatchNorm's averages, Dropout's random numbers and the gradients are as before."""
    program = Alone(on_images(), image_pair(), CPU)
    before = {name: value.clone() for name, value in program.networks.state_dict().items()}
    random = torch.get_rng_state()
    found = program.measure_adversary(0, copy_to_cpu(program.networks.heads.state_dict()))
    assert found[names.ADVERSARY_MOVED] == 0.0
    assert all(math.isfinite(value) for value in found.values())
    assert torch.equal(random, torch.get_rng_state())
    assert program.networks.training
    for name, value in program.networks.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(weight.grad is None for weight in program.networks.parameters())
