"""The doctor names every planted fault, and leaves the networks as it found them."""

import math

import pytest
import torch
from torch import Tensor, nn

from grl import domain_loss, gradient_reversal, gradient_scale
from grl.doctor import Verdict, examine
from grl.losses import conditional_domain_loss
from grl.schedules import Constant, Ganin, Step

ALPHA = 0.4


@pytest.fixture
def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    extractor = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2))
    classifier = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
    return extractor, classifier


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(64, 5, generator=generator), torch.randn(64, 5, generator=generator) + 0.5


def examine_with(networks, batch, term, alpha: float = ALPHA, **kwargs) -> Verdict:
    extractor, classifier = networks

    def loss(features: Tensor, labels: Tensor, coefficient: float) -> Tensor:
        return term(classifier, features, labels, coefficient)

    return examine(extractor, classifier, *batch, alpha, adversarial_loss=loss, **kwargs)


def plain(classifier, features, labels):
    return domain_loss(classifier(features).squeeze(1), labels)


@pytest.mark.parametrize("alpha", [0.05, 0.4, 1.0, 3.0])
def test_a_right_pipeline_is_reversed_by_alpha(networks, batch, alpha: float) -> None:
    verdict = examine(*networks, *batch, alpha)
    assert verdict.status == "reversed", verdict
    assert verdict.healthy
    assert verdict.factor == pytest.approx(-alpha, rel=0.02)
    assert verdict.weight == pytest.approx(1.0, rel=0.02)
    assert f"{verdict.factor:+.3g}" in verdict.sentence


def test_the_domain_weight_is_told_apart_from_alpha(networks, batch) -> None:
    verdict = examine_with(networks, batch, lambda d, f, y, a: 2.0 * plain(d, gradient_reversal(f, a), y))
    assert verdict.status == "reversed"
    assert verdict.weight == pytest.approx(2.0, rel=0.02)
    assert verdict.factor == pytest.approx(-ALPHA, rel=0.02)


def test_the_gradient_norm_is_that_of_a_training_step(networks, batch) -> None:
    extractor, classifier = networks
    extractor.eval(), classifier.eval()
    verdict = examine(extractor, classifier, *batch, ALPHA)
    labels = torch.cat([torch.zeros(64), torch.ones(64)])
    plain(classifier, extractor(torch.cat(batch)), labels).backward()
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in extractor.parameters()))
    assert verdict.gradient_norm == pytest.approx(ALPHA * norm, rel=1e-4)


FAULTS = {
    "applied twice": [
        lambda d, f, y, a: plain(d, gradient_reversal(gradient_scale(f, a), a), y),
    ],
    "not reversed": [lambda d, f, y, a: plain(d, f, y)],
    "negated twice": [
        lambda d, f, y, a: -plain(d, gradient_reversal(f, a), y),
        lambda d, f, y, a: plain(d, gradient_scale(gradient_reversal(f, a), -1.0), y),
        lambda d, f, y, a: plain(d, gradient_reversal(gradient_reversal(f, a), a), y),
    ],
    "detached": [
        lambda d, f, y, a: plain(d, gradient_reversal(f.detach(), a), y),
        lambda d, f, y, a: plain(d, gradient_reversal(f, 0.0), y),
    ],
    "on the loss": [
        lambda d, f, y, a: a * plain(d, gradient_reversal(f, 1.0), y),
        lambda d, f, y, a: a * plain(d, gradient_reversal(f, a), y),
        lambda d, f, y, a: a * plain(d, f, y),
    ],
    "stuck": [lambda d, f, y, a: plain(d, gradient_reversal(f, 0.7), y)],
    "wrong factor": [lambda d, f, y, a: plain(d, gradient_reversal(f, 3 * a), y)],
}


@pytest.mark.parametrize(("status", "term"), [(status, term) for status, terms in FAULTS.items() for term in terms])
@pytest.mark.parametrize("alpha", [ALPHA, 1.0])
def test_each_fault_is_named(networks, batch, status: str, term, alpha: float) -> None:
    verdict = examine_with(networks, batch, term, alpha)
    assert verdict.status == status, verdict
    assert not verdict.healthy


def test_softmax_over_one_logit_is_dead(networks, batch) -> None:
    extractor, classifier = networks
    verdict = examine(extractor, nn.Sequential(classifier, nn.Softmax(dim=1)), *batch, ALPHA)
    assert verdict.status == "dead"
    assert "softmax over one logit" in verdict.sentence
    assert verdict.classifier_norm == 0.0
    assert verdict.gradient_norm == 0.0
    assert "dead" in verdict.meaning


def test_frozen_classifier_is_dead(networks, batch) -> None:
    extractor, classifier = networks
    verdict = examine(extractor, classifier.requires_grad_(False), *batch, ALPHA)
    assert verdict.status == "dead"
    assert "softmax" not in verdict.sentence


def test_frozen_extractor_is_detached(networks, batch) -> None:
    extractor, classifier = networks
    assert examine(extractor.requires_grad_(False), classifier, *batch, ALPHA).status == "detached"


def test_a_reversal_hidden_in_the_classifier_counts(networks, batch) -> None:
    """The comparison is with the loss's true slope, so that a hidden layer cannot vouch for itself."""
    from grl import GradientReversal

    extractor, classifier = networks
    hidden = nn.Sequential(GradientReversal(ALPHA), classifier)
    verdict = examine(extractor, hidden, *batch, ALPHA)
    assert verdict.factor == pytest.approx(ALPHA**2, rel=0.02)
    assert not verdict.healthy


def test_saturated_schedule(networks, batch) -> None:
    early = Ganin(gamma=2000.0)
    verdict = examine(*networks, *batch, 1.0, schedule=early)
    assert verdict.status == "saturated"
    assert "1 %" in verdict.sentence
    for schedule in (Ganin(), Constant(), Step()):
        assert examine(*networks, *batch, 1.0, schedule=schedule).healthy
    assert examine(*networks, *batch, 1.0, schedule=Ganin(horizon=100), steps=100_000).status == "saturated"


def test_alpha_zero_is_measured_at_one_and_said(networks, batch) -> None:
    verdict = examine(*networks, *batch, 0.0)
    assert verdict.healthy
    assert verdict.alpha == 1.0
    assert "Alpha is 0 now" in verdict.sentence


def test_other_adversaries_give_their_plain_loss(networks, batch) -> None:
    extractor, _ = networks
    head, predictor = nn.Linear(16 * 3, 1), nn.Linear(16, 3)

    def term(features: Tensor, labels: Tensor, alpha: float) -> Tensor:
        return conditional_domain_loss(head, features, predictor(features).detach(), labels, alpha).loss

    verdict = examine(
        extractor,
        head,
        *batch,
        ALPHA,
        adversarial_loss=term,
        plain_loss=lambda features, labels: term(features, labels, 1.0),
    )
    # The classes enter the adversary's input and are held fixed in the gradient but not in the slope: near, not
    # equal.
    assert verdict.weight == pytest.approx(1.0, rel=0.02)
    assert verdict.factor == pytest.approx(-ALPHA, rel=0.3)


def test_nothing_is_changed(networks, batch) -> None:
    extractor, classifier = networks
    before = [t.clone() for n in networks for t in n.state_dict().values()]
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    examine(extractor, classifier, *batch, ALPHA)
    assert torch.equal(torch.rand(3), expected)
    after = [t for n in networks for t in n.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for n in networks for p in n.parameters())
    assert extractor.training
    assert classifier.training


def test_domain_loss_at_ln_2_is_explained() -> None:
    """A blind classifier on features that differ is not confusion; on features that do not, it is."""
    generator = torch.Generator().manual_seed(0)
    blind = nn.Linear(8, 1)
    with torch.no_grad():
        blind.weight.mul_(0.01), blind.bias.zero_()
    extractor = nn.Linear(8, 8)
    same = [torch.randn(200, 8, generator=generator) for _ in range(2)]
    confused = examine(extractor, blind, *same, 1.0)
    assert abs(confused.domain_loss - math.log(2)) < 0.01
    assert "are confused" in confused.meaning
    assert 0.4 < confused.probe_accuracy < 0.575
    apart = examine(extractor, blind, same[0], same[1] + 1.0, 1.0)
    assert abs(apart.domain_loss - math.log(2)) < 0.05
    assert "not confused" in apart.meaning
    assert apart.probe_accuracy > 0.85


@pytest.mark.parametrize("alpha", [-1.0, math.nan, math.inf])
def test_bad_alpha(networks, batch, alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha must be finite and >= 0"):
        examine(*networks, *batch, alpha)


def test_two_logits_are_refused(networks, batch) -> None:
    with pytest.raises(ValueError, match="domain_classifier must return one logit per sample"):
        examine(networks[0], nn.Linear(16, 2), *batch, 1.0)
