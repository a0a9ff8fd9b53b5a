"""The doctor names every planted fault, and leaves the networks as it found them."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.nn.parallel import DistributedDataParallel

from grl import GradientReversal, domain_loss, gradient_reversal, gradient_scale
from grl.doctor import Verdict, examine
from grl.losses import (
    AdversarialLoss,
    AdversarialLosses,
    attribute_adversarial_loss,
    classifier_discrepancy_loss,
    conditional_domain_loss,
    domain_adversarial_loss,
    margin_disparity_loss,
    nuclear_discrepancy_loss,
    several_adversarial_losses,
)
from grl.meaning import measure_chance
from grl.schedules import Constant, Ganin, Step
from tests.support import patients
from tests.support.patients import Patient, draw_patient, plant

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
    "misplaced": [lambda d, f, y, a: domain_loss(gradient_reversal(d(f).squeeze(1), a), y)],
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
    # The classes enter the adversary's input and are held fixed in the gradient but not in the slope.
    assert verdict.healthy
    assert verdict.weight == pytest.approx(1.0, rel=1e-4)
    assert verdict.factor == pytest.approx(-ALPHA, rel=1e-4)


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


# No healthy network is convicted, no faulty one passes


def diagnose(patient: Patient, **keywords) -> Verdict:
    return examine(
        patient.extractor,
        patient.classifier,
        patient.source,
        patient.target,
        patient.alpha,
        domain_labels=patient.domain_labels,
        **keywords,
    )


@pytest.mark.parametrize("seed", range(0, 1000, 25))
def test_random_networks_trained_and_not(seed: int) -> None:
    """A sample of the population of `python -m tests.benchmarks.doctor`: healthy, then with each fault in turn."""
    patient = draw_patient(seed, steps=60)
    healthy = diagnose(patient)
    assert healthy.status in ("reversed", "inconclusive"), healthy
    for fault in patients.FAULTS[seed // 25 % 6 :: 6]:
        with plant(fault, patient) as planted:
            if planted is not None:
                name, ill, keywords = planted
                verdict = diagnose(ill, **keywords)
                assert verdict.status in (name, "inconclusive"), (fault, verdict)


def test_the_sample_is_not_inconclusive_throughout() -> None:
    statuses = [diagnose(draw_patient(seed, steps=60)).status for seed in range(0, 1000, 100)]
    assert statuses.count("reversed") >= 9, statuses


@pytest.mark.parametrize("steps", [300, 1000])
@pytest.mark.parametrize("through_the_reversal", [True, False])
def test_trained_networks_keep_their_factor(networks, batch, steps: int, through_the_reversal: bool) -> None:
    """Trained for long: small slopes, many kinks, float32."""
    extractor, classifier = networks
    x, y = torch.cat(batch), torch.tensor([0] * 64 + [1] * 64)
    trained = nn.ModuleList([classifier, extractor] if through_the_reversal else [classifier])
    optimiser = torch.optim.SGD(trained.parameters(), lr=0.1, momentum=0.9)
    for _ in range(steps):
        optimiser.zero_grad()
        domain_adversarial_loss(classifier, extractor(x), y, 0.5).loss.backward()
        optimiser.step()
    verdict = examine(extractor, classifier, *batch, 0.5)
    assert verdict.factor == pytest.approx(-0.5, rel=1e-3), verdict
    assert verdict.error < 0.01
    assert verdict.healthy


LAST_LAYERS: dict[str, Callable[[], nn.Module]] = {
    "zeros": lambda: _fill(nn.Linear(16, 1), 0.0),
    "spectral norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(16, 1)),
    "old spectral norm": lambda: nn.utils.spectral_norm(nn.Linear(16, 1)),
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(16, 1)),
    "recurrent": lambda: _Recurrent(),
    "attention": lambda: nn.Sequential(
        nn.Unflatten(1, (4, 4)), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.Flatten(), nn.Linear(16, 1)
    ),
    "half precision": lambda: nn.Sequential(_Cast(torch.bfloat16), nn.Linear(16, 1).bfloat16(), _Cast(torch.float32)),
    "scripted": lambda: torch.jit.script(nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1))),
    "compiled": lambda: torch.compile(nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1)), backend="eager"),
    "a maximum of zeros": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 16)), nn.MaxPool1d(4), nn.Flatten(), nn.Linear(4, 1)
    ),
}


def _fill(layer: nn.Linear, value: float) -> nn.Linear:
    nn.init.constant_(layer.weight, value), nn.init.constant_(layer.bias, value)
    return layer


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells, self.last = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.cells(x.unflatten(1, (4, 4)))[0][:, -1])


class _Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)


# torch.compile looks at the gradient of what it is given.
@pytest.mark.filterwarnings(r"ignore:The \.grad attribute of a Tensor that is not a leaf")
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("name", LAST_LAYERS)
def test_layers_that_are_hard_to_measure(networks, batch, name: str) -> None:
    """States that change, kinks, zeros, narrow dtypes: healthy, and with the loss subtracted still found out."""
    torch.manual_seed(0)
    classifier = LAST_LAYERS[name]()
    extractor = nn.Sequential(networks[0], nn.ReLU())
    before = copy.deepcopy([t.clone() for t in classifier.state_dict().values()])
    verdict = examine(extractor, classifier, *batch, ALPHA)
    assert verdict.healthy, verdict
    assert verdict.factor == pytest.approx(-ALPHA, rel=1e-3)
    ill = examine_with((extractor, classifier), batch, lambda d, f, y, a: -plain(d, gradient_reversal(f, a), y))
    assert ill.status == "negated twice", ill
    assert all(torch.equal(a, b) for a, b in zip(before, classifier.state_dict().values(), strict=True))


# Where it is called


def test_inside_autocast(networks, batch) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        verdict = examine(*networks, *batch, ALPHA)
    assert verdict.healthy
    assert verdict.factor == pytest.approx(-ALPHA, rel=1e-3)


@pytest.mark.parametrize("guard", [torch.inference_mode, torch.no_grad])
def test_where_no_gradients_are_recorded(networks, batch, guard) -> None:
    """As in the validation of training frameworks; the batch is made inside too."""
    with guard():
        verdict = examine(*networks, *(x + 0.0 for x in batch), ALPHA)
    assert verdict.healthy, verdict


def test_weights_made_in_inference_mode_are_no_fault(batch) -> None:
    with torch.inference_mode():
        networks = nn.Linear(5, 16), nn.Linear(16, 1)
    verdict = examine(*networks, *batch, ALPHA)
    assert verdict.status == "inconclusive"
    assert "inference_mode" in verdict.sentence


def test_what_is_not_finite_is_said_first(networks, batch) -> None:
    extractor, classifier = networks
    with torch.no_grad():
        classifier[0].weight[0, 0] = torch.nan
    verdict = examine(extractor, classifier, *batch, ALPHA)
    assert verdict.status == "not finite"
    assert "domain_classifier" in verdict.sentence
    assert examine(extractor, nn.Linear(16, 1), batch[0] * torch.inf, batch[1], ALPHA).status == "not finite"


@pytest.fixture
def process_group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def shard_in_place(layer: nn.Module) -> nn.Module:
    return fully_shard(layer, mesh=dist.device_mesh.init_device_mesh("cpu", (1,)))


def shard_flat(layer: nn.Module) -> nn.Module:
    return FullyShardedDataParallel(layer, device_id=torch.device("cpu"), use_orig_params=True)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # of the older of the two
@pytest.mark.parametrize("shard", [shard_in_place, shard_flat])
def test_sharded_weights_are_no_fault(process_group, batch, shard) -> None:
    """On one process: the verdict says to examine earlier."""
    verdict = examine(nn.Linear(5, 16), shard(nn.Linear(16, 1)), *batch, ALPHA)
    assert verdict.status == "inconclusive"
    assert "divided among processes" in verdict.sentence


def test_replicated_networks(process_group, networks, batch) -> None:
    extractor, classifier = (DistributedDataParallel(network) for network in networks)
    assert examine(extractor, classifier, *batch, ALPHA).healthy
    domain_adversarial_loss(classifier, extractor(torch.cat(batch)), torch.arange(128) // 64).loss.backward()
    assert networks[0][0].weight.grad is not None


def test_buffers_start_the_same_for_every_evaluation(batch) -> None:
    """A classifier whose answer depends on how often it was called."""

    class Counting(nn.Linear):
        def __init__(self) -> None:
            super().__init__(16, 1)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(x) * self.calls

    extractor, classifier = nn.Linear(5, 16), Counting()
    verdict = examine(extractor, classifier, *batch, ALPHA)
    assert verdict.healthy, verdict
    assert verdict.error < 1e-3
    assert classifier.calls == 0


# What it missed or misnamed


def test_chance_is_the_entropy_of_the_domain_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    extractor, blind = nn.Linear(8, 8), nn.Linear(8, 1)
    with torch.no_grad():  # it says nothing but the share of the target
        blind.weight.mul_(1e-3), blind.bias.fill_(math.log(5 / 64))
    chance = -(64 * math.log(64 / 69) + 5 * math.log(5 / 69)) / 69
    same = torch.randn(64, 8, generator=generator), torch.randn(5, 8, generator=generator)
    verdict = examine(extractor, blind, *same, 1.0)
    assert verdict.domain_loss == pytest.approx(chance, abs=0.01)
    assert f"near chance, {chance:.3f}" in verdict.meaning
    assert "ln 2" not in verdict.meaning
    assert "away" in examine(extractor, _fill(nn.Linear(8, 1), 0.0), *same, 1.0).meaning  # ln 2 is not chance here


@pytest.mark.parametrize("squash", [nn.Sigmoid(), nn.Tanh(), nn.Hardsigmoid()])
def test_a_sigmoid_before_a_loss_on_logits(networks, batch, squash: nn.Module) -> None:
    extractor, classifier = networks
    verdict = examine(extractor, nn.Sequential(classifier, squash), *batch, ALPHA)
    assert verdict.status == "squashed"
    assert "logits" in verdict.sentence


def test_a_sigmoid_with_a_loss_of_its_own(networks, batch) -> None:
    """Binary cross entropy of probabilities is right; without being told, the doctor cannot know."""
    extractor, classifier = networks
    classifier = nn.Sequential(classifier, nn.Sigmoid())

    def own(features: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy(classifier(features).squeeze(1), labels.to(features.dtype))

    def term(features: Tensor, labels: Tensor, alpha: float) -> Tensor:
        return own(gradient_reversal(features, alpha), labels)

    assert examine(extractor, classifier, *batch, ALPHA, adversarial_loss=term, plain_loss=own).healthy
    verdict = examine(extractor, classifier, *batch, ALPHA, adversarial_loss=term)
    assert verdict.status == "inconclusive"
    assert "plain_loss" in verdict.sentence


def test_a_ramp_that_starts_at_0_in_a_layer_of_the_users(networks, batch) -> None:
    extractor, classifier = networks
    layer = GradientReversal(Ganin()(0.0))

    def term(features: Tensor, labels: Tensor, alpha: float) -> Tensor:
        return plain(classifier, layer(features), labels)

    verdict = examine(extractor, classifier, *batch, 0.0, adversarial_loss=term, schedule=Ganin())
    assert verdict.status == "inconclusive"
    assert "alpha is 0 now" in verdict.sentence


@pytest.mark.parametrize("coefficient", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_fixed_layer_inside_the_classifier_beside_alpha(networks, batch, place: int, coefficient: float) -> None:
    extractor, classifier = networks
    layers = list(classifier)
    verdict = examine(
        extractor, nn.Sequential(*layers[:place], GradientReversal(coefficient), *layers[place:]), *batch, 0.5
    )
    assert verdict.status == "negated twice", verdict
    assert verdict.factor == pytest.approx(0.5 * coefficient, rel=1e-3)


def test_a_layer_inside_the_classifier_alone(networks, batch) -> None:
    extractor, classifier = networks
    layer = GradientReversal()
    inside = nn.Sequential(*list(classifier)[:-1], layer, classifier[-1])

    def term(features: Tensor, labels: Tensor, alpha: float) -> Tensor:
        layer.alpha = alpha
        return plain(inside, features, labels)

    verdict = examine(
        extractor,
        inside,
        *batch,
        0.5,
        adversarial_loss=term,
        plain_loss=lambda f, y: plain(classifier, f, y),
    )
    assert verdict.status == "misplaced", verdict
    assert "inside the domain classifier" in verdict.sentence


def test_an_adversary_whose_units_are_off_is_no_fault(networks, batch) -> None:
    extractor, classifier = networks
    with torch.no_grad():
        classifier[0].bias.fill_(-100.0)
    verdict = examine(extractor, classifier, *batch, ALPHA)
    assert verdict.status == "inconclusive"
    assert "units are all off" in verdict.sentence


def test_an_extractor_whose_units_are_off_is_no_fault(networks, batch) -> None:
    extractor = nn.Sequential(nn.Linear(5, 16), nn.ReLU())
    with torch.no_grad():
        extractor[0].bias.fill_(-100.0)
    verdict = examine(extractor, networks[1], *batch, ALPHA)
    assert verdict.status == "inconclusive"
    assert "feature extractor" in verdict.sentence


def test_a_loss_that_is_no_multiple_of_the_plain_one(networks, batch) -> None:
    """Label smoothing, say: whoever has another loss is asked for it instead of being convicted."""

    def smoothed(d: nn.Module, f: Tensor, y: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(d(f).squeeze(1), (0.1 + 0.5 * y).to(f.dtype))

    verdict = examine_with(networks, batch, lambda d, f, y, a: smoothed(d, gradient_reversal(f, a), y))
    assert verdict.status == "inconclusive"
    assert "plain_loss" in verdict.sentence


# The reference loss


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_reference_finds_a_sign_that_both_losses_carry(networks, batch, sign: float) -> None:
    extractor, classifier = networks
    verdict = examine(
        extractor,
        classifier,
        *batch,
        ALPHA,
        adversarial_loss=lambda f, y, a: sign * plain(classifier, gradient_reversal(f, a), y),
        plain_loss=lambda f, y: sign * plain(classifier, f, y),
        reference_loss=lambda f, y: plain(classifier, f, y),
    )
    assert verdict.status == ("reversed" if sign > 0 else "negated twice"), verdict
    if sign < 0:
        assert "subtracted" in verdict.sentence


# The losses of the library, each with heads of its own


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("method", ["cdan", "cdan+e", "mdd", "daln", "mcd", "attribute", "three domains"])
def test_every_loss_of_the_library(networks, batch, method: str, sign: float) -> None:
    torch.manual_seed(0)
    predictor = nn.Linear(16, 3)
    heads = nn.ModuleDict(
        {"domain": nn.Linear(48, 1), "second": nn.Linear(16, 3), "own": predictor, "single": nn.Linear(16, 1)}
    )
    labels = torch.tensor([0] * 64 + [1] * 40 + [2 if method == "three domains" else 1] * 24)
    attribute = torch.linspace(-1, 1, 128)
    losses = {
        "cdan": lambda f, y, a: conditional_domain_loss(heads["domain"], f, predictor(f), y, a),
        "cdan+e": lambda f, y, a: conditional_domain_loss(heads["domain"], f, predictor(f), y, a, entropy_weights=True),
        "mdd": lambda f, y, a: margin_disparity_loss(heads["second"], f, predictor(f), y, a),
        "daln": lambda f, y, a: nuclear_discrepancy_loss(predictor, f, y, a),
        "mcd": lambda f, y, a: classifier_discrepancy_loss(predictor, heads["second"], f, y, a),
        "attribute": lambda f, y, a: attribute_adversarial_loss(heads["single"], f, attribute, a),
        "three domains": lambda f, y, a: domain_adversarial_loss(heads["second"], f, y, a),
    }
    loss = losses[method]
    verdict = examine(
        networks[0],
        heads,
        *batch,
        ALPHA,
        domain_labels=labels,
        adversarial_loss=lambda f, y, a: sign * loss(f, y, a).loss,
        plain_loss=lambda f, y: loss(f, y, 1.0).loss,
    )
    assert verdict.status == ("reversed" if sign > 0 else "negated twice"), verdict
    assert verdict.factor == pytest.approx(-ALPHA, rel=1e-2)
    assert "nats" not in verdict.meaning
    assert "ln 2" not in verdict.meaning


@pytest.mark.parametrize("domains", [2, 3, 5])
def test_k_domains(domains: int) -> None:
    torch.manual_seed(0)
    extractor, classifier = nn.Linear(4, 8), nn.Linear(8, domains)
    x = torch.randn(40 * domains, 4)
    labels = torch.arange(domains).repeat_interleave(40)
    verdict = examine(extractor, classifier, x[:40], x[40:], ALPHA, domain_labels=labels)
    assert verdict.healthy
    assert verdict.factor == pytest.approx(-ALPHA, rel=1e-4)
    nn.init.zeros_(classifier.weight), nn.init.zeros_(classifier.bias)
    confused = examine(extractor, classifier, x[:40], x[40:], ALPHA, domain_labels=labels)
    assert confused.domain_loss == pytest.approx(math.log(domains))
    assert measure_chance(labels) == pytest.approx(math.log(domains))
    assert "the domains are confused" in confused.meaning
    assert confused.probe_accuracy == pytest.approx(0.5, abs=0.15)
    apart = examine(extractor, classifier, x[:40], x[40:] + 3.0 * labels[40:, None], ALPHA, domain_labels=labels)
    assert apart.probe_accuracy > 0.8
    assert "not confused" in apart.meaning


# Inputs and outputs of other kinds


class _Pair(nn.Module):
    """Takes a dictionary, returns a tuple with an integer leaf, as language models do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 16)

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor, None]:
        return self.layer(inputs["x"]), inputs["length"], None


def test_dictionaries_in_and_tuples_out(batch) -> None:
    torch.manual_seed(0)
    extractor, head = _Pair(), nn.Linear(16, 1)

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = head

        def forward(self, features: tuple[Tensor, Tensor, None]) -> Tensor:
            return self.head(features[0])

    source, target = ({"x": x, "length": torch.full((64,), 3)} for x in batch)
    verdict = examine(extractor, First(), source, target, ALPHA)
    assert verdict.healthy
    assert verdict.factor == pytest.approx(-ALPHA, rel=1e-4)
    chosen = examine(
        extractor,
        head,
        source,
        target,
        ALPHA,
        adversarial_loss=lambda f, y, a: plain(head, gradient_reversal(f[0], a), y),
        plain_loss=lambda f, y: plain(head, f[0], y),
    )
    assert chosen.healthy


def test_lazy_modules_are_asked_to_wake_up(batch) -> None:
    with pytest.raises(ValueError, match="domain_classifier must not be lazy any more: pass one batch through it"):
        examine(nn.Linear(5, 16), nn.LazyLinear(1), *batch, ALPHA)


def test_a_loss_that_is_no_scalar(networks, batch) -> None:
    with pytest.raises(ValueError, match=r"adversarial_loss must return a scalar, got shape \(128, 1\)"):
        examine_with(networks, batch, lambda d, f, y, a: d(f))


@pytest.mark.parametrize("which", ["adversarial_loss", "plain_loss", "reference_loss"])
def test_a_loss_that_is_no_tensor(networks, batch, which: str) -> None:
    extractor, classifier = networks
    for found, message in (
        (lambda loss: loss.item(), "must return a scalar tensor or an AdversarialLoss, got float"),
        (lambda loss: None, "must return a scalar tensor or an AdversarialLoss, got NoneType"),
        (lambda loss: loss.expand(2), r"must return a scalar, got shape \(2,\)"),
    ):

        def term(features: Tensor, labels: Tensor, alpha: float = 0.0) -> object:
            return found(plain(classifier, gradient_reversal(features, alpha), labels))  # noqa: B023

        with pytest.raises((TypeError, ValueError), match=f"{which} {message}"):
            examine(extractor, classifier, *batch, ALPHA, **{which: term})


def test_losses_of_the_library_as_they_are(networks, batch) -> None:
    """What the library returns needs no `.loss`: one term, or several in one."""
    extractor, classifier = networks

    def several(features: Tensor, labels: Tensor, alpha: float) -> AdversarialLosses:
        return several_adversarial_losses(
            {"domain": lambda f, a: domain_adversarial_loss(classifier, f, labels, a)}, features, {"domain": alpha}
        )

    for term in (lambda f, y, a: domain_adversarial_loss(classifier, f, y, a), several):
        bare = examine(extractor, classifier, *batch, ALPHA, adversarial_loss=lambda *given: term(*given).loss)  # noqa: B023
        assert examine(extractor, classifier, *batch, ALPHA, adversarial_loss=term) == bare
        assert bare.healthy
    hinted = examine(
        extractor,
        classifier,
        *batch,
        ALPHA,
        plain_loss=lambda f, y: AdversarialLoss(plain(classifier, f, y)),
        reference_loss=lambda f, y: AdversarialLoss(plain(classifier, f, y)),
    )
    assert hinted.healthy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domain_labels": [0] * 64 + [1] * 64}, "domain_labels must be a tensor, got list"),
        ({"domain_labels": np.repeat([0, 1], 64)}, "domain_labels must be a tensor, got ndarray"),
        ({"source": np.ones((64, 5))}, "source must be a tensor, or a pytree or mapping of tensors, got ndarray"),
        ({"target": [[1.0, 2.0]]}, "target must be a tensor, or a pytree or mapping of tensors, got float"),
        ({"target": {"x": torch.ones(4, 5), "y": "a"}}, "target must be a tensor, .* got Tensor, str"),
        ({"source": None}, "source must be a tensor, .* got NoneType"),
        ({"source": {}}, "source must be a tensor, .* got nothing"),
        ({"schedule": 1.0}, r"schedule must be a schedule, a callable of progress and step, got 1\.0"),
        ({"schedule": Ganin}, "schedule must be a schedule, a callable of progress and step, got <class"),
    ],
)
def test_what_cannot_be_examined(networks, batch, change: dict[str, object], message: str) -> None:
    extractor, classifier = networks
    given = dict(zip(("source", "target"), batch, strict=True)) | change
    with pytest.raises(TypeError, match=message):
        examine(extractor, classifier, **given)


def test_what_has_no_values_is_no_fault(networks, batch) -> None:
    extractor, classifier = networks
    source, target = (x.to("meta") for x in batch)
    for given in (
        {"source": source, "target": target},
        {"source": batch[0], "target": batch[1], "domain_labels": torch.zeros(128, device="meta")},
    ):
        verdict = examine(extractor, classifier, **given)
        assert verdict.status == "inconclusive"
        assert "the inputs or their domain labels are on meta and have no values" in verdict.sentence


@pytest.mark.parametrize("own", [False, True])
def test_one_domain_alone_is_not_reversed(networks, batch, own: bool) -> None:
    extractor, classifier = networks
    keywords = {"adversarial_loss": lambda f, y, a: plain(classifier, gradient_reversal(f, a), y)} if own else {}
    nothing = batch[0][:0]
    for source, target, labels, found in (
        (nothing, batch[1], None, "all domain labels are 1"),
        (batch[0], nothing, None, "all domain labels are 0"),
        (*batch, torch.zeros(128), "all domain labels are 0"),
        (*batch, torch.full((128,), 1), "all domain labels are 1"),
        (nothing, nothing, None, "there is no sample"),
    ):
        verdict = examine(extractor, classifier, source, target, ALPHA, domain_labels=labels, **keywords)
        assert verdict.status == "inconclusive"
        assert f"{found}, and it takes samples of two domains; is source or target empty?" in verdict.sentence


def test_integer_features_are_refused(batch) -> None:
    class Counter(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).long()

    with pytest.raises(ValueError, match="feature_extractor must return floating tensors, got Tensor"):
        examine(Counter(5, 16), nn.Linear(16, 1), *batch, ALPHA)
