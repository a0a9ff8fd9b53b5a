"""The doctor looks at the very term that a method minimises, with its own heads, and leaves no trace."""

from dataclasses import dataclass

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from datasets import Augment
from experiments.methods import METHODS, Adversarial, Losses
from experiments.methods.cdan import CDAN
from experiments.methods.dann import DANN
from experiments.networks.mnist import MnistPaper
from experiments.training import alone, together
from experiments.training.alone import Alone
from grl.reversal import gradient_reversal
from grl.schedules import Constant, Ganin
from tests.support.trainings import CPU, digest, image_pair, on_images, small_moons, train_alone

ADVERSARIAL = [name for name, method in METHODS.items() if issubclass(method, Adversarial)]


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


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ADVERSARIAL])
def test_no_doctor_where_nothing_is_reversed(moons_pair, name):
    assert diagnose(METHODS[name](), moons_pair) is None


# Methods that are sick: mistakes that have been made, in each of the methods.


def subtracts(base):
    """The adversary's loss is subtracted, although it is reversed inside."""

    def losses(self, networks, passed, **scheduled):
        found = base.losses(self, networks, passed, **scheduled)
        return found._replace(objective=found.label_loss - (found.objective - found.label_loss))

    return {"losses": losses}


def alpha_twice(base):
    """Alpha in the reversal and in front of the loss."""

    def adversary(self, networks, passed, alpha):
        found = base.adversary(self, networks, passed, alpha)
        return found._replace(loss=alpha * found.loss)

    return {"adversary": adversary}


def detaches(base):
    """The features are cut off from the extractor."""

    def adversary(self, networks, passed, alpha):
        return base.adversary(self, networks, passed._replace(features=passed.features.detach()), alpha)

    return {"adversary": adversary}


def reverses_twice(base):
    """Reversed on the way in, and once more inside the loss: not reversed at all."""

    def adversary(self, networks, passed, alpha):
        twice = passed._replace(features=gradient_reversal(passed.features, 1.0))
        return base.adversary(self, networks, twice, alpha)

    return {"adversary": adversary}


def negates_what_it_reports(base):
    """The term and the loss that it reports are wrong in the same way: only the base's reference can tell."""

    def adversary(self, networks, passed, alpha):
        found = base.adversary(self, networks, passed, alpha)
        return found._replace(loss=-found.loss)

    return {"adversary": adversary}


SICK = {
    subtracts: {"negated twice"},
    alpha_twice: {"on the loss"},
    detaches: {"detached", "inconclusive"},  # MCD's predictors begin without a gradient of their own
    reverses_twice: {"negated twice"},
    negates_what_it_reports: {"negated twice"},
}


# Without domain logits there is nothing to hold a method's own word against.
WORDLESS = ("mcd", "daln")
CASES = [
    (name, mistake)
    for name in (*ADVERSARIAL, "cdan+e")
    for mistake in SICK
    if not (mistake is negates_what_it_reports and name in WORDLESS)
]


@pytest.mark.parametrize(("name", "mistake"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_a_sick_method_is_named(moons_pair, name, mistake):
    base = METHODS[name.split("+")[0]]
    sick = dataclass(frozen=True, kw_only=True)(type("Sick", (base,), mistake(base)))
    fields = {"entropy": True} if name == "cdan+e" else {}
    verdict = diagnose(sick(alpha=Constant(value=0.5), **fields), moons_pair)
    assert verdict.status in SICK[mistake], verdict.sentence


@dataclass(frozen=True, kw_only=True)
class OnlyLosses(DANN):
    """A method that writes its losses down whole, with no adversary of its own."""

    adversary = Adversarial.adversary

    def losses(self, networks, passed, *, alpha, **scheduled):
        label_loss = cross_entropy(passed.label_logits, passed.labels)
        logits = networks.heads["domain_classifier"](gradient_reversal(passed.features, alpha))
        added = binary_cross_entropy_with_logits(logits, passed.domain_labels)
        return Losses(label_loss + added, label_loss, {"label_loss": label_loss})


def test_a_method_without_logits_or_adversary_is_examined_too(moons_pair):
    assert diagnose(OnlyLosses(), moons_pair).status == "reversed"


def test_what_is_cropped_in_training_is_cropped_for_the_doctor():
    experiment = on_images(network=MnistPaper(), augment=Augment(crop=28))
    [verdict] = Alone(experiment, image_pair(shape=(32, 32, 3)), CPU).diagnose()
    assert verdict.status == "reversed", verdict.sentence


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
