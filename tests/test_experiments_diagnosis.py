"""The doctor looks at the very term that a method minimises, with its own heads, and leaves no trace."""

from dataclasses import dataclass

import pytest
import torch

from experiments.methods import METHODS, Losses
from experiments.methods.cdan import CDAN
from experiments.methods.dann import DANN
from experiments.networks.mnist import MnistPaper
from experiments.training import alone, together
from experiments.training.alone import Alone
from grl.reversal import gradient_reversal
from grl.schedules import Constant, Ganin
from tests.support.trainings import CPU, digest, image_pair, on_images, small_moons, train_alone

ADVERSARIAL = [name for name, method in METHODS.items() if method.reads == "source and target"]


def diagnose(method, pair, **changes):
    [verdict] = Alone(small_moons(method=method, **changes), pair, CPU).diagnose()
    return verdict


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_every_adversarial_method_is_found_reversed(moons_pair, name):
    verdict = diagnose(METHODS[name](), moons_pair)
    assert verdict.status == "reversed", verdict.sentence


@pytest.mark.parametrize("alpha", [0.1, 0.5, 2.0])
def test_the_factor_is_minus_alpha(moons_pair, alpha):
    verdict = diagnose(DANN(alpha=Constant(value=alpha), domain_weight=0.7), moons_pair)
    assert verdict.factor == pytest.approx(-alpha, rel=0.05)
    assert verdict.weight == pytest.approx(0.7, rel=0.05)


@pytest.mark.parametrize("name", ["source_only", "target_only"])
def test_no_doctor_where_nothing_is_reversed(moons_pair, name):
    assert diagnose(METHODS[name](), moons_pair) is None


# Methods that are sick. Each is a mistake that has been made.


@dataclass(frozen=True, kw_only=True)
class Subtracts(DANN):
    """The adversary's loss is subtracted, although it is reversed inside."""

    name = "subtracts"

    def losses(self, networks, passed, **scheduled):
        losses = super().losses(networks, passed, **scheduled)
        objective = losses.label_loss - (losses.objective - losses.label_loss)
        return losses._replace(objective=objective)


@dataclass(frozen=True, kw_only=True)
class AlphaTwice(DANN):
    """Alpha in the reversal and in front of the loss."""

    name = "alpha_twice"

    def adversary(self, networks, passed, alpha):
        loss, logits = super().adversary(networks, passed, alpha)
        return type(super().adversary(networks, passed, alpha))(alpha * loss, logits)


@dataclass(frozen=True, kw_only=True)
class Detaches(DANN):
    """The features are cut off from the extractor."""

    name = "detaches"

    def adversary(self, networks, passed, alpha):
        return super().adversary(networks, passed._replace(features=passed.features.detach()), alpha)


@dataclass(frozen=True, kw_only=True)
class ReversesTwice(DANN):
    """Reversed on the way in, and once more inside the loss: not reversed at all."""

    name = "reverses_twice"

    def adversary(self, networks, passed, alpha):
        return super().adversary(networks, passed._replace(features=gradient_reversal(passed.features, 1.0)), alpha)


@dataclass(frozen=True, kw_only=True)
class NegatesWhatItReports(DANN):
    """The term and the loss that the method reports both have the wrong sign: only the base's reference can tell."""

    name = "negates_both"

    def adversary(self, networks, passed, alpha):
        loss = super().adversary(networks, passed, alpha)
        return loss._replace(**{loss._fields[0]: -loss[0]})


@pytest.mark.parametrize("sick", [Subtracts, AlphaTwice, Detaches, ReversesTwice, NegatesWhatItReports])
def test_a_sick_method_is_named(moons_pair, sick):
    verdict = diagnose(sick(alpha=Constant(value=0.5)), moons_pair)
    assert not verdict.healthy, verdict.sentence


def test_the_faults_have_their_names(moons_pair):
    status = {sick: diagnose(sick(alpha=Constant(value=0.5)), moons_pair).status for sick in (AlphaTwice, Detaches)}
    assert status == {AlphaTwice: "on the loss", Detaches: "detached"}


def test_a_schedule_that_is_saturated_from_the_start_is_named(moons_pair):
    assert diagnose(DANN(alpha=Ganin(gamma=1e4)), moons_pair).status == "saturated"


# No trace


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_buffers_weights_gradients_and_random_state_are_left_as_they_were(name):
    """With BatchNorm and Dropout2d in the network, and random projections in CDAN."""
    method = CDAN(dimensions=8) if name == "cdan" else METHODS[name]()
    program = Alone(on_images(method=method), image_pair(), CPU)
    networks = program.member(0)
    before, random = digest(networks), torch.get_rng_state()
    [verdict] = program.diagnose()
    assert verdict.status == "reversed", verdict.sentence
    assert digest(networks) == before
    assert torch.equal(random, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in networks.parameters())
    assert all(module.training for module in networks.modules())


def test_a_training_is_the_same_without_the_doctor(moons_pair, monkeypatch):
    examined = train_alone(small_moons(), moons_pair)
    assert [(member, verdict.status) for member, verdict in examined.notes.verdicts] == [(0, "reversed")]
    for module in (alone, together):
        monkeypatch.setattr(module, "examine_method", lambda *arguments: None)
    unexamined = train_alone(small_moons(), moons_pair)
    assert unexamined.notes.verdicts == []
    assert unexamined.digest() == examined.digest()


def test_a_resumed_training_is_not_examined_again(moons_pair):
    state = train_alone(small_moons(), moons_pair).states[10]
    assert train_alone(small_moons(), moons_pair, states=state).notes.verdicts == []


def test_the_methods_own_heads_are_examined(moons_pair):
    """The term is that of `losses`, whatever a method makes of it: its weights come from the method's own heads."""
    seen = []

    @dataclass(frozen=True, kw_only=True)
    class Watched(DANN):
        def losses(self, networks, passed, **scheduled) -> Losses:
            seen.append((networks.heads["domain_classifier"], passed.features.shape))
            return super().losses(networks, passed, **scheduled)

    program = Alone(on_images(method=Watched(), network=MnistPaper()), image_pair(), CPU)
    program.diagnose()
    assert {head for head, _ in seen} == {program.member(0).heads["domain_classifier"]}
    assert {shape for _, shape in seen} == {(96, 768)}
