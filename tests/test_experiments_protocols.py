"""Protocols as fields: each against a plain calculation of its own, stopped and gone on with, stacked or refused."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from datasets import Batch, LabelledBatch
from experiments.errors import BadInput
from experiments.methods import METHODS
from experiments.methods.coral import CORAL
from experiments.methods.dann import DANN
from experiments.methods.mcd import MCD
from experiments.methods.mdd import MDD
from experiments.networks import Networks
from experiments.networks.base import DomainBatchNorm
from experiments.networks.mlp import MLP
from experiments.networks.resnet import ResNet18
from experiments.optimisers import SGD, Adam, AdamW
from experiments.recipes import RECIPES
from experiments.training.alone import Alone
from experiments.training.together import can_be_together
from grl.schedules import Constant, Linear
from tests.support.trainings import BY_STEPS, CPU, image_pair, on_images, small_moons, train_alone, train_together

# Label smoothing


def smoothed(logits: np.ndarray, labels: np.ndarray, share: float) -> float:
    """Cross entropy against labels of which a share is spread evenly, written out."""
    logits = logits - logits.max(1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    wanted = (1 - share) * np.eye(logits.shape[1])[labels] + share / logits.shape[1]
    return -(wanted * log_p).sum(1).mean()


@pytest.mark.parametrize("name", BY_STEPS)
def test_label_smoothing_is_that_of_the_formula_in_every_method(name):
    torch.manual_seed(0)
    method = METHODS[name](label_smoothing=0.2)
    heads = {part: build() for part, build in method.heads(MLP(), 4, 3).items()}
    networks = Networks(nn.Linear(2, 4), nn.Linear(4, 3), heads).double()
    labels, source = torch.tensor([0, 1, 2, 1]), torch.randn(4, 2, dtype=torch.float64)
    batches = {"source": LabelledBatch(source, labels)}
    if method.reads == "source and target":
        batches["target"] = Batch(torch.randn(4, 2, dtype=torch.float64))
    losses = method.losses(networks, method.forward(networks, batches), **method.scheduled(0.5, 5))
    predictors = [networks.label_predictor, *([heads["second_predictor"]] if name == "mcd" else [])]
    with torch.no_grad():
        features = networks.feature_extractor(source)
        expected = sum(smoothed(each(features).numpy(), labels.numpy(), 0.2) for each in predictors)
    assert losses.label_loss.item() == pytest.approx(expected, rel=1e-12)


# Warm-up


def test_after_a_warm_up_schedules_begin_anew_over_what_is_left():
    method = DANN(alpha=Linear(), warm_up=20)
    assert [method.scheduled(step / 100, step) for step in (0, 19, 20, 60, 99)] == [
        {"alpha": 0.0, "started": 0.0},
        {"alpha": 0.0, "started": 0.0},
        {"alpha": 0.0, "started": 1.0},
        {"alpha": 0.5, "started": 1.0},
        {"alpha": 79 / 80, "started": 1.0},
    ]
    # A horizon in steps counts them from there.
    counted = DANN(alpha=Linear(horizon=10), warm_up=20)
    assert [counted.scheduled(step / 100, step)["alpha"] for step in (10, 20, 25, 30, 50)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert DANN().scheduled(0.5, 50).keys() == {"alpha"}


@pytest.mark.parametrize("method", [DANN, MDD, MCD, CORAL])
def test_a_warm_up_is_a_training_on_labels_alone(moons_pair, method):
    """Bit for bit that of a method whose other term weighs nothing; and then it is not."""
    nothing = {"weight": Constant(value=0.0)} if method is CORAL else {"domain_weight": 0.0}
    alpha = {} if method is CORAL else {"alpha": Constant(value=1.0)}
    warm = train_alone(small_moons(method=method(warm_up=20, **alpha)), moons_pair)
    cold = train_alone(small_moons(method=method(**nothing)), moons_pair)
    for step, same in ((20, True), (30, False)):
        one, other = (
            {name: value for name, value in run.states[step][0]["networks"].items() if "heads.domain" not in name}
            for run in (warm, cold)
        )
        assert all(torch.equal(value, other[name]) for name, value in one.items()) == same
    heads = [name for name in warm.states[20][0]["networks"] if name.startswith("heads.domain")]
    first = train_alone(small_moons(method=method(warm_up=29), steps=30), moons_pair).states[10][0]["networks"]
    assert all(torch.equal(first[name], warm.states[20][0]["networks"][name]) for name in heads)


def test_the_doctor_looks_at_what_follows_the_warm_up(moons_pair):
    for warm_up in (0, 20):
        [(_, verdict)] = train_alone(
            small_moons(method=DANN(alpha=Constant(value=0.5), warm_up=warm_up)), moons_pair
        ).notes.verdicts
        assert verdict.healthy, verdict.sentence


def test_a_warm_up_ends_before_the_training():
    with pytest.raises(BadInput, match=r"method.warm_up must be < steps \(30\), got 30"):
        small_moons(method=DANN(warm_up=30))


# BatchNorm of each domain's own


def test_each_domain_has_its_own_averages_scale_and_shift():
    """Against two layers of PyTorch's, each of which sees one domain."""
    torch.manual_seed(0)
    method = DANN(batch_norm="domain_specific")
    extractor = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    plain = [copy.deepcopy(extractor).double() for _ in range(2)]
    head = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
    networks = method.arrange(Networks(extractor, nn.Linear(2, 2), {"domain_classifier": head}).double())
    predictor, domains = copy.deepcopy(networks.label_predictor), copy.deepcopy(networks.heads["domain_classifier"])
    source, target = (torch.randn(8, 3, dtype=torch.float64) * scale + scale for scale in (1.0, 3.0))
    labels = torch.arange(8) % 2
    batches = {"source": LabelledBatch(source, labels), "target": Batch(target)}
    method.losses(networks, method.forward(networks, batches), alpha=0.5).objective.backward()

    features = [each(inputs) for each, inputs in zip(plain, (source, target), strict=True)]
    turned = torch.cat([1.5 * each.detach() - 0.5 * each for each in features])
    domain_loss = nn.functional.binary_cross_entropy_with_logits(domains(turned), torch.arange(16).ge(8).double())
    (nn.functional.cross_entropy(predictor(features[0]), labels) + 2 * domain_loss).backward()
    for domain, each in enumerate(plain):
        mine = networks.feature_extractor[1].each[domain]
        for name in ("running_mean", "running_var"):
            torch.testing.assert_close(getattr(mine, name), getattr(each[1], name))
        for name in ("weight", "bias"):
            torch.testing.assert_close(getattr(mine, name).grad, getattr(each[1], name).grad)
    torch.testing.assert_close(extractor[0].weight.grad, plain[0][0].weight.grad + plain[1][0].weight.grad)

    # Between steps they are the target's; the evaluator enters the source's for the source.
    networks.eval(), [each.eval() for each in plain]
    torch.testing.assert_close(networks.feature_extractor(source), plain[1](source))


@pytest.mark.parametrize("place", [0, 1])
def test_an_evaluation_takes_those_of_the_domain_it_measures(place):
    """Scales of zero make all of a domain alike: the other domain's logits do not notice."""
    program = Alone(on_images(method=DANN(batch_norm="domain_specific")), image_pair(), CPU)
    [before] = program.evaluate()
    for layer in program.networks.modules():
        if isinstance(layer, DomainBatchNorm):
            layer.each[place].weight.data.zero_()
            layer.each[place].bias.data.zero_()
    [after] = program.evaluate()
    same = {name: np.array_equal(before.seen[name], after.seen[name]) for name in ("source_logits", "target_logits")}
    assert same == {"source_logits": place == 1, "target_logits": place == 0}
    assert all(layer.domain == 1 for layer in program.networks.modules() if isinstance(layer, DomainBatchNorm))


def test_without_batch_norm_it_is_a_pass_each(moons_pair):
    digests = {
        train_alone(small_moons(method=DANN(batch_norm=each)), moons_pair).digest()
        for each in ("separate", "domain_specific")
    }
    assert len(digests) == 1


def test_it_resumes_and_learns_something_else():
    pair = image_pair()
    trained = {
        each: train_alone(on_images(method=DANN(batch_norm=each)), pair)
        for each in ("joint", "separate", "domain_specific")
    }
    mine = trained["domain_specific"]
    assert train_alone(on_images(method=DANN(batch_norm="domain_specific")), pair, states=mine.states[2]).digest() == (
        mine.digest()
    )
    assert len({str(each.points()[-2]) for each in trained.values()}) == 3


def test_it_needs_one_source_and_one_target():
    with pytest.raises(BadInput, match=r"domain_specific needs one source and one target, got pair a\+b_to_c"):
        small_moons(pair="a+b_to_c", method=DANN(batch_norm="domain_specific"))


# Rates of heads


def weights_after(experiment, pair) -> dict[str, torch.Tensor]:
    return dict(train_alone(experiment, pair).networks().named_parameters())


def test_heads_move_so_many_times_as_far(moons_pair):
    """One step of plain SGD: w - lr g, and w - 10 lr g."""
    still = weights_after(small_moons(optimiser=SGD(momentum=0.0), lr=Constant(value=0.0), steps=1), moons_pair)
    usual, faster = (
        weights_after(small_moons(optimiser=SGD(momentum=0.0, head_rate=rate), steps=1), moons_pair)
        for rate in (1.0, 10.0)
    )
    for name, value in still.items():
        times = 1 if name.startswith("feature_extractor.") else 10
        torch.testing.assert_close(faster[name] - value, times * (usual[name] - value), rtol=1e-3, atol=1e-6)
        assert name.startswith("feature_extractor.") == torch.equal(faster[name], usual[name])


def test_a_bottleneck_is_no_part_of_the_backbone():
    network = ResNet18()
    networks = Networks(network.feature_extractor((3, 32, 32)), nn.Linear(256, 3), {"one": nn.Linear(256, 1)})
    weights = dict(networks.named_parameters())
    backbone, heads = SGD(head_rate=10.0).by_rate(weights, network.backbone)
    assert (backbone["rate"], heads["rate"]) == (1.0, 10.0)
    names = {id(weight): name for name, weight in weights.items()}
    fast = {names[id(weight)].rsplit(".", 1)[0] for weight in heads["params"]}
    assert fast == {
        "feature_extractor.bottleneck.0", "feature_extractor.bottleneck.1", "label_predictor", "heads.one"
    }  # fmt: skip
    assert len(backbone["params"]) + len(heads["params"]) == len(weights)


# Optimisers


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_that_of_its_formula(nesterov):
    """v = m v + g, g with the decay; w -= lr v, or lr (g + m v)."""
    w, v, slope = np.array([1.0, -2.0]), np.zeros(2), np.array([0.5, 0.1])
    weight = torch.tensor(w, requires_grad=True)
    optimiser = SGD(momentum=0.9, nesterov=nesterov, weight_decay=0.1).build([weight], 0.2)
    for _ in range(3):
        weight.grad = torch.tensor(slope)
        optimiser.step()
        g = slope + 0.1 * w
        v = 0.9 * v + g
        w = w - 0.2 * (g + 0.9 * v if nesterov else v)
    np.testing.assert_allclose(weight.detach().numpy(), w, rtol=1e-12)


@pytest.mark.parametrize("optimiser", [Adam, AdamW])
def test_weight_decay_is_in_adams_gradient_and_beside_adamws(optimiser):
    w, m, s, slope = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2), np.array([0.5, 0.1])
    weight = torch.tensor(w, requires_grad=True)
    built = optimiser(weight_decay=0.1).build([weight], 0.2)
    for t in (1, 2, 3):
        weight.grad = torch.tensor(slope)
        built.step()
        g = slope + (0.1 * w if optimiser is Adam else 0)
        w = w if optimiser is Adam else w - 0.2 * 0.1 * w
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
        w = w - 0.2 * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(weight.detach().numpy(), w, rtol=1e-9)


# Together, interrupted, refused


PROTOCOLS = {
    "label smoothing": {"method": DANN(label_smoothing=0.1)},
    "warm-up": {"method": DANN(warm_up=10)},
    "warm-up, two predictors": {"method": MCD(warm_up=10)},
    "head rate": {"optimiser": Adam(head_rate=10.0)},
    "balanced": {"balanced": True},
}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_it_goes_on_to_the_same_bits(moons_pair, name):
    experiment = small_moons(**PROTOCOLS[name])
    whole = train_alone(experiment, moons_pair)
    resumed = train_alone(experiment, moons_pair, states=whole.states[10])
    assert resumed.digest() == whole.digest()
    assert whole.digest() != train_alone(small_moons(), moons_pair).digest()


@pytest.mark.parametrize("name", ["label smoothing", "warm-up"])
def test_it_is_stacked(moons_pair, name):
    experiments = [small_moons(**PROTOCOLS[name], seed=seed, steps=15) for seed in (0, 1)]
    assert can_be_together(experiments[0], CPU)
    trained = train_together(experiments, moons_pair)
    for member, experiment in enumerate(experiments):
        single = train_alone(experiment, moons_pair)
        for part, value in single.networks().state_dict().items():
            torch.testing.assert_close(trained.networks(member).state_dict()[part], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["head rate", "balanced"])
def test_it_is_not_stacked(name):
    assert not can_be_together(small_moons(**PROTOCOLS[name]), CPU)


# Class imbalance


def test_every_class_of_the_source_is_drawn_equally_often():
    pair = image_pair()
    rare = torch.cat([torch.arange(48), torch.arange(0, 48, 3).repeat(5)])  # class 0 six times as often
    source = dataclasses.replace(pair.source, inputs=pair.source.inputs[rare], labels=pair.source.labels[rare])
    pair, seen = dataclasses.replace(pair, source=source), {}

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Counting(DANN):
        name = "counting"

        def forward(self, networks, batches):
            seen.setdefault(balanced, []).append(batches["source"].labels)
            return super().forward(networks, batches)

    for balanced in (False, True):
        train_alone(on_images(method=Counting(), balanced=balanced, steps=6, batch_size=12), pair)
    usual, even = (torch.cat(seen[balanced]).bincount(minlength=3) for balanced in (False, True))
    assert even.tolist() == [12, 12, 12]
    assert usual[0] > 20


# Recipes


@pytest.mark.parametrize("name", ["mnist_usps", "mnist_usps_skada"])
def test_tables_of_mnist_and_usps_hold_every_deep_method(name):
    runs = RECIPES[name](seeds=2)
    assert len({run.hash for run in runs}) == len(runs) == 2 * 2 * 12
    for pair in {run.pair for run in runs}:
        methods = [run.method for run in runs if run.pair == pair and run.seed == 0]
        assert {method.name for method in methods} == {
            "source_only", "target_only", "dann", "cdan", "mdd", "mcd", "daln", "coral", "mmd", "mcc", "bnm"
        }  # fmt: skip
        assert sorted(method.entropy for method in methods if method.name == "cdan") == [False, True]


# Bad fields


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DANN(label_smoothing=1.0), "method.label_smoothing must be in [0, 1), got 1.0"),
        (lambda: CORAL(warm_up=-1), "method.warm_up must be >= 0, got -1"),
        (lambda: SGD(head_rate=0.0), "optimiser.head_rate must be finite and > 0, got 0.0"),
    ],
)
def test_bad_fields_are_named(build, message):
    with pytest.raises(BadInput) as caught:
        build()
    assert str(caught.value) == message
