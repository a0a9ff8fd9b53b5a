"""Every method against an independent calculation, in float64 on affine networks."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from datasets import Batch, LabelledBatch
from experiments.errors import BadInput
from experiments.methods import METHODS, mean_of_training, open_splits
from experiments.methods.cdan import CDAN
from experiments.methods.daln import DALN
from experiments.methods.dann import DANN
from experiments.methods.fitted import Fitted
from experiments.methods.mcd import MCD
from experiments.methods.mdd import MDD
from experiments.networks import Networks
from experiments.networks.mlp import MLP
from experiments.training.alone import Alone
from grl.schedules import Constant
from tests.support.trainings import CPU, image_pair, small_moons

COUNT = 5
FIELDS = {"dann": DANN, "cdan": CDAN, "mdd": MDD, "mcd": MCD, "daln": DALN}


def linear_networks(method=None) -> Networks:
    """Affine parts in float64: their gradients can be written down."""
    heads = (method or DANN()).heads(MLP(), 4, 2)
    heads = {name: build() for name, build in heads.items()} | (
        {"domain_classifier": nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))} if method is None else {}
    )
    return Networks(nn.Linear(3, 4), nn.Linear(4, 2), heads).double()


def draw_batches(seed: int = 0) -> dict[str, Batch]:
    random = torch.Generator().manual_seed(seed)
    source, target = (torch.randn(COUNT, 3, dtype=torch.float64, generator=random) for _ in range(2))
    return {"source": LabelledBatch(source, torch.arange(COUNT) % 2), "target": Batch(target + 1)}


def losses_of(method, networks, batches, alpha=1.0):
    return method.losses(networks, method.forward(networks, batches), alpha=alpha)


def gradients(method, networks: Networks, batches, alpha: float) -> dict[str, np.ndarray]:
    networks.zero_grad()
    losses_of(method, networks, batches, alpha).objective.backward()
    return {name: parameter.grad.numpy() for name, parameter in networks.named_parameters()}


# DANN


def differentiate_by_hand(networks: Networks, batches, alpha: float, weight: float) -> dict[str, np.ndarray]:
    """Ganin et al. (2016), equations 13 to 15, for affine parts, in numpy."""
    values = {name: parameter.detach().numpy() for name, parameter in networks.named_parameters()}
    w, b = values["feature_extractor.weight"], values["feature_extractor.bias"]
    v, c = values["label_predictor.weight"], values["label_predictor.bias"]
    u, d = values["heads.domain_classifier.0.weight"], values["heads.domain_classifier.0.bias"]
    source, target = batches["source"], batches["target"]
    inputs = np.concatenate([source.inputs.numpy(), target.inputs.numpy()])
    features = inputs @ w.T + b
    of_source = features[:COUNT]
    exponentials = np.exp(of_source @ v.T + c)
    label_slope = (exponentials / exponentials.sum(1, keepdims=True) - np.eye(2)[source.labels.numpy()]) / COUNT
    domain_labels = np.repeat([0.0, 1.0], COUNT)  # source 0, target 1
    logits = (features @ u.T + d)[:, 0]
    domain_slope = (1 / (1 + np.exp(-logits)) - domain_labels)[:, None] / (2 * COUNT)
    into_features = -alpha * weight * domain_slope @ u
    into_features[:COUNT] += label_slope @ v
    return {
        "feature_extractor.weight": into_features.T @ inputs,
        "feature_extractor.bias": into_features.sum(0),
        "label_predictor.weight": label_slope.T @ of_source,
        "label_predictor.bias": label_slope.sum(0),
        "heads.domain_classifier.0.weight": weight * domain_slope.T @ features,
        "heads.domain_classifier.0.bias": weight * domain_slope.sum(0),
    }


@given(alpha=st.floats(0, 5), weight=st.sampled_from([0.0, 0.1, 1.0, 2.0]), seed=st.integers(0, 1000))
def test_dann_gradients_equal_those_by_hand(alpha, weight, seed):
    torch.manual_seed(seed)
    networks, batches = linear_networks(), draw_batches(seed)
    found = gradients(DANN(domain_weight=weight), networks, batches, alpha)
    expected = differentiate_by_hand(networks, batches, alpha, weight)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_silent_domain_classifier_reads_ln_2_and_one_half():
    networks = linear_networks()
    for parameter in networks.heads.parameters():
        nn.init.zeros_(parameter)
    curves = losses_of(DANN(), networks, draw_batches()).curves
    assert curves["domain_loss"].item() == pytest.approx(math.log(2), abs=1e-12)
    assert curves["domain_accuracy"].item() == 0.5


@pytest.mark.parametrize(("says_target", "accuracy"), [(True, 1.0), (False, 0.0)])
def test_source_is_0_and_target_is_1(says_target, accuracy):
    """A classifier that is sure of the target where inputs are positive."""
    networks = Networks(nn.Identity(), nn.Linear(1, 2), {"domain_classifier": nn.Flatten(0)})
    sign = 1.0 if says_target else -1.0
    source = LabelledBatch(-sign * torch.full((4, 1), 20.0), torch.zeros(4, dtype=torch.int64))
    batches = {"source": source, "target": Batch(sign * torch.full((4, 1), 20.0))}
    curves = losses_of(DANN(), networks, batches).curves
    assert curves["domain_accuracy"].item() == accuracy
    assert (curves["domain_loss"].item() < 1e-6) == says_target


def test_domain_loss_is_one_mean_over_both_domains():
    torch.manual_seed(3)
    networks, batches = linear_networks(), draw_batches()
    curves = losses_of(DANN(), networks, batches).curves
    with torch.no_grad():
        on_source, on_target = (
            networks.heads["domain_classifier"](networks.feature_extractor(batch.inputs)).sigmoid().numpy()
            for batch in batches.values()
        )
    expected = (-np.log(1 - on_source).mean() - np.log(on_target).mean()) / 2
    assert curves["domain_loss"].item() == pytest.approx(expected, rel=1e-12)


# All adversarial methods: formulas of their papers in NumPy


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def bce(logits, domain_labels, weights=1.0):
    each = np.logaddexp(0, logits) - domain_labels * logits
    return (weights * each).sum() / np.broadcast_to(weights, each.shape).sum()


def reference_loss(name, method, networks, features, predictions):
    """The adversary's loss of features (N, F), by the paper's formula, given the predictions (N, C) as fixed logits."""

    def head(part, values):
        with torch.no_grad():
            return part(torch.from_numpy(values)).numpy()

    source, target = slice(0, COUNT), slice(COUNT, None)
    domain_labels = np.repeat([0.0, 1.0], COUNT)
    heads = networks.heads
    if name == "dann":
        return bce(head(heads["domain_classifier"], features), domain_labels)
    if name == "cdan":
        p = softmax(predictions)
        product = (features[:, :, None] * p[:, None, :]).reshape(len(p), -1)
        weights = 1.0
        if method.entropy:  # Long et al. (2018), 1 + exp(-H), each domain's summing to one half
            weights = 1 + np.exp((p * np.log(p)).sum(1))
            weights = weights / np.repeat([weights[source].sum(), weights[target].sum()], COUNT)
        return bce(head(heads["domain_classifier"], product), domain_labels, weights)
    if name == "mdd":
        y, p = predictions.argmax(1), softmax(head(heads["adversary"], features))
        agreed = p[np.arange(len(p)), y]
        return method.margin * -np.log(agreed[source]).mean() - np.log(1 - agreed[target]).mean()
    if name == "mcd":
        # The predictors that disagree maximise the discrepancy: as a loss to minimise, its negative.
        first, second = (
            softmax(head(part, features)) for part in (networks.label_predictor, heads["second_predictor"])
        )
        return -np.abs(first - second)[target].mean()
    if name == "daln":
        p = softmax(head(networks.label_predictor, features))
        norms = [np.linalg.svd(p[part], compute_uv=False).sum() / COUNT for part in (source, target)]
        return norms[1] - norms[0]
    raise AssertionError(name)


def slope(function, values, step=1e-6):
    """The gradient of a function of an array, by central differences."""
    found = np.zeros_like(values)
    for place in np.ndindex(values.shape):
        moved = values.copy()
        moved[place] += step
        above = function(moved)
        moved[place] -= 2 * step
        found[place] = (above - function(moved)) / (2 * step)
    return found


CASES = {name: method() for name, method in FIELDS.items()} | {
    "cdan+e": CDAN(entropy=True), "mdd margin": MDD(margin=2.0, domain_weight=0.3)
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_adversarys_loss_is_the_papers(case):
    method, name = CASES[case], case.split("+")[0].split()[0]
    torch.manual_seed(5)
    networks, batches = linear_networks(method), draw_batches(5)
    passed = method.forward(networks, batches)
    losses = method.losses(networks, passed, alpha=0.7)
    features = passed.features.detach().numpy()
    with torch.no_grad():
        predictions = networks.label_predictor(passed.features).numpy()
    expected = reference_loss(name, method, networks, features, predictions)
    added = (losses.objective - losses.label_loss).item()
    assert added == pytest.approx(method.domain_weight * expected, rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_what_enters_the_features_is_minus_alpha_times_its_slope(case):
    method, name = CASES[case], case.split("+")[0].split()[0]
    torch.manual_seed(6)
    networks, batches = linear_networks(method), draw_batches(6)
    passed = method.forward(networks, batches)
    losses = method.losses(networks, passed, alpha=0.7)
    [found] = torch.autograd.grad(losses.objective - losses.label_loss, passed.features)
    with torch.no_grad():
        predictions = networks.label_predictor(passed.features).numpy()
    expected = slope(
        lambda features: reference_loss(name, method, networks, features, predictions), passed.features.detach().numpy()
    )
    assert np.abs(expected).max() > 1e-4
    # CDAN's product lets a gradient through the features alone: the predictions are fixed in the reference, too.
    np.testing.assert_allclose(found.numpy(), -0.7 * method.domain_weight * expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("name", FIELDS)
def test_alpha_scales_what_enters_the_extractor_and_nothing_else(name):
    torch.manual_seed(0)
    method = FIELDS[name]()
    networks = linear_networks(method)
    at = {alpha: gradients(method, networks, draw_batches(), alpha) for alpha in (0.0, 0.5, 1.0)}
    for parameter in at[0.0]:
        if parameter.startswith("feature_extractor"):
            half, whole = (at[alpha][parameter] - at[0.0][parameter] for alpha in (0.5, 1.0))
            assert np.abs(whole).max() > 1e-3
            np.testing.assert_allclose(whole, 2 * half, rtol=1e-9, atol=1e-12)
        else:
            np.testing.assert_array_equal(at[0.0][parameter], at[1.0][parameter], err_msg=parameter)


def test_mcd_trains_both_predictors_on_the_labels():
    torch.manual_seed(1)
    method = MCD(domain_weight=0.0)
    networks, batches = linear_networks(method), draw_batches(1)
    losses = losses_of(method, networks, batches)
    source = batches["source"]
    with torch.no_grad():
        features = networks.feature_extractor(source.inputs)
        each = [
            -predictor(features).log_softmax(1)[torch.arange(COUNT), source.labels].mean()
            for predictor in (networks.label_predictor, networks.heads["second_predictor"])
        ]
    assert losses.objective.item() == pytest.approx(sum(each).item())
    assert losses.curves["label_loss"].item() == pytest.approx(sum(each).item() / 2)


# The anchors


@pytest.mark.parametrize(("name", "domain"), [("source_only", "source"), ("target_only", "target")])
def test_anchors_minimise_the_label_loss_alone(name, domain):
    networks, method = linear_networks(), METHODS[name]()
    batch = draw_batches()["source"]
    losses = method.losses(networks, method.forward(networks, {domain: batch}))
    log_p = networks.predict(batch.inputs)[1].log_softmax(1)
    expected = -log_p[torch.arange(COUNT), batch.labels].mean()
    assert losses.objective.item() == losses.label_loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert losses.domain_logits is None
    assert losses.curves.keys() == {"label_loss"}
    assert method.heads(MLP(), 4, 2) == {}
    assert method.scheduled(0.5, 10) == {}


# What they read


def test_batch_norm_sees_both_domains_together_or_each_alone():
    pair = image_pair()
    source_inputs, target_inputs = (s.inputs.flatten(1)[:8, :6].double() for s in (pair.source, pair.target))
    batches = {
        "source": LabelledBatch(source_inputs, torch.zeros(8, dtype=torch.int64)),
        "target": Batch(target_inputs),
    }

    def extract(batch_norm: str) -> torch.Tensor:
        networks = Networks(nn.BatchNorm1d(6, affine=False).double(), nn.Linear(6, 2).double(), {})
        return DANN(batch_norm=batch_norm).forward(networks, batches).features

    both = torch.cat([source_inputs, target_inputs])
    expected = (both - both.mean(0)) / (both.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(extract("joint"), expected)
    alone = [(part - part.mean(0)) / (part.var(0, correction=0) + 1e-5).sqrt() for part in both.split(8)]
    torch.testing.assert_close(extract("separate"), torch.cat(alone))


def test_what_each_method_reads():
    reads = {name: method.reads for name, method in METHODS.items()}
    assert (reads["source_only"], reads["dann"], reads["target_only"]) == (
        "source",
        "source and target",
        "target labels",
    )
    # Nothing else may ask for target labels.
    assert [name for name, what in reads.items() if what == "target labels"] == ["target_only"]
    pair = image_pair()
    refusing = dataclasses.replace(pair, _open_target=lambda: pytest.fail("opened"))
    for name, what in reads.items():
        if name != "target_only":
            assert list(open_splits(what, refusing)) == what.split(" and ")
    torch.testing.assert_close(mean_of_training("source", pair), pair.source.mean())
    torch.testing.assert_close(
        mean_of_training("source and target", pair), (pair.source.mean() + pair.target.mean()) / 2
    )


def test_names_are_those_of_the_catalogue():
    assert all(name == method.name and method().name == name for name, method in METHODS.items())


def test_scheduled_values_come_under_their_fields_names():
    method = MDD(alpha=Constant(value=0.25))
    assert method.scheduled(0.5, 3) == {"alpha": 0.25}
    assert method.schedules == {"alpha": Constant(value=0.25)}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DANN(domain_weight=float("nan")), "method.domain_weight must be finite and >= 0, got nan"),
        (lambda: CDAN(domain_weight=-1.0), "method.domain_weight must be finite and >= 0, got -1.0"),
        (
            lambda: DANN(batch_norm="both"),
            "unknown method.batch_norm 'both': allowed are domain_specific, joint, separate",
        ),
        (lambda: CDAN(dimensions=0), "method.dimensions must be >= 1, got 0"),
        (lambda: CDAN(limit=0), "method.limit must be >= 1, got 0"),
        (lambda: CDAN(entropy_gradient=True), "method.entropy_gradient needs method.entropy, got entropy=False"),
        (lambda: MDD(margin=0.0), "method.margin must be finite and > 0, got 0.0"),
        (lambda: MDD(margin=float("nan")), "method.margin must be finite and > 0, got nan"),
        (lambda: DANN(alpha=0.3), "method.alpha must be a Schedule, got 0.3"),
    ],
)
def test_bad_fields_are_named(build, message):
    with pytest.raises(BadInput) as caught:
        build()
    assert str(caught.value) == message


class _Operations(TorchDispatchMode):
    """The names of the operations that run inside."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(str(function))
        return function(*args, **(kwargs or {}))


# Operations whose CUDA kernels read a number back: a status, a count, a scalar that came as a tensor.
WAITING = ("svd", "eigh", "_local_scalar_dense", "nonzero", "masked_select", "int_Tensor")


@pytest.mark.parametrize("method", [each for each in METHODS.values() if not issubclass(each, Fitted)])
def test_what_waits_for_the_device_is_not_recorded(method, moons_pair):
    """A CUDA graph that is being recorded breaks at an operation that reads something back."""
    program = Alone(small_moons(method=method()), moons_pair, CPU)
    with _Operations() as ran:
        program.step(0.1, [method().scheduled(0.5, 15)])
    assert method.recordable == (not any(waits in name for name in ran.names for waits in WAITING))


@pytest.mark.parametrize(("limit", "width"), [(7, 1024), (8, 8), (4096, 8)])
def test_the_widest_product_that_cdan_takes_as_it_is(limit, width):
    heads = linear_networks(CDAN(limit=limit)).heads  # of 4 features and 2 classes
    joint = heads["multilinear_map"](torch.randn(3, 4).double(), torch.randn(3, 2).double())
    assert joint.shape == (3, width)
    assert heads["domain_classifier"](joint).shape == (3,)
