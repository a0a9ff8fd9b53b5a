import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from datasets import Batch, LabelledBatch
from experiments.methods import METHODS, dann, source_only, target_only
from experiments.networks import Networks
from tests.small_runs import image_pair

COUNT = 5


def linear_networks() -> Networks:
    """Affine parts in float64: their gradients can be written down."""
    domain_classifier = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
    return Networks(nn.Linear(3, 4), nn.Linear(4, 2), domain_classifier).double()


def draw_batches(seed: int = 0) -> tuple[LabelledBatch, Batch]:
    random = torch.Generator().manual_seed(seed)
    source, target = (torch.randn(COUNT, 3, dtype=torch.float64, generator=random) for _ in range(2))
    return LabelledBatch(source, torch.arange(COUNT) % 2), Batch(target + 1)


def gradients(networks: Networks, source, target, alpha: float, weight: float) -> dict[str, np.ndarray]:
    networks.zero_grad()
    losses = dann(networks, source, target, alpha=alpha, batch_norm="joint")
    (losses.label_loss + weight * losses.domain_loss).backward()
    return {name: parameter.grad.numpy() for name, parameter in networks.named_parameters()}


def differentiate_by_hand(networks: Networks, source, target, alpha: float, weight: float) -> dict[str, np.ndarray]:
    """Ganin et al. (2016), equations 13 to 15, for affine parts, in numpy."""
    values = {name: parameter.detach().numpy() for name, parameter in networks.named_parameters()}
    w, b = values["feature_extractor.weight"], values["feature_extractor.bias"]
    v, c = values["label_predictor.weight"], values["label_predictor.bias"]
    u, d = values["domain_classifier.0.weight"], values["domain_classifier.0.bias"]
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
        "domain_classifier.0.weight": weight * domain_slope.T @ features,
        "domain_classifier.0.bias": weight * domain_slope.sum(0),
    }


@given(
    alpha=st.floats(0, 5),
    weight=st.sampled_from([0.0, 0.1, 1.0, 2.0]),
    seed=st.integers(0, 1000),
)
def test_dann_gradients_equal_those_by_hand(alpha, weight, seed):
    torch.manual_seed(seed)
    networks = linear_networks()
    source, target = draw_batches(seed)
    found = gradients(networks, source, target, alpha, weight)
    expected = differentiate_by_hand(networks, source, target, alpha, weight)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_alpha_scales_what_enters_the_extractor_and_nothing_else():
    torch.manual_seed(0)
    networks = linear_networks()
    at = {alpha: gradients(networks, *draw_batches(), alpha, 2.0) for alpha in (0.0, 0.5, 1.0)}
    assert np.abs(at[0.0]["domain_classifier.0.weight"]).max() > 0.01  # alpha 0 still trains the classifier
    for name in at[0.0]:
        if name.startswith("feature_extractor"):
            half, whole = at[0.5][name] - at[0.0][name], at[1.0][name] - at[0.0][name]
            assert np.abs(whole).max() > 0.01
            np.testing.assert_allclose(whole, 2 * half, rtol=1e-9, atol=1e-12)
        else:
            np.testing.assert_array_equal(at[0.0][name], at[1.0][name], err_msg=name)


def test_a_silent_domain_classifier_reads_ln_2_and_one_half():
    networks = linear_networks()
    for parameter in networks.domain_classifier.parameters():
        nn.init.zeros_(parameter)
    losses = dann(networks, *draw_batches(), alpha=1.0, batch_norm="joint")
    assert losses.domain_loss.item() == pytest.approx(math.log(2), abs=1e-12)
    assert losses.domain_accuracy.item() == 0.5


@pytest.mark.parametrize(("says_target", "accuracy"), [(True, 1.0), (False, 0.0)])
def test_source_is_0_and_target_is_1(says_target, accuracy):
    """A classifier that is sure of the target where inputs are positive."""
    networks = Networks(nn.Identity(), nn.Linear(1, 2), nn.Flatten(0))
    sign = 1.0 if says_target else -1.0
    source = LabelledBatch(-sign * torch.full((4, 1), 20.0), torch.zeros(4, dtype=torch.int64))
    losses = dann(networks, source, Batch(sign * torch.full((4, 1), 20.0)), alpha=1.0, batch_norm="joint")
    assert losses.domain_accuracy.item() == accuracy
    assert (losses.domain_loss.item() < 1e-6) == says_target


def test_domain_loss_is_one_mean_over_both_domains():
    torch.manual_seed(3)
    networks = linear_networks()
    source, target = draw_batches()
    losses = dann(networks, source, target, alpha=1.0, batch_norm="joint")
    with torch.no_grad():
        on_source, on_target = (
            networks.domain_classifier(networks.feature_extractor(b.inputs)).sigmoid().numpy() for b in (source, target)
        )
    expected = (-np.log(1 - on_source).mean() - np.log(on_target).mean()) / 2
    assert losses.domain_loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("method", [source_only, target_only])
def test_methods_without_adversary(method):
    networks = linear_networks()
    batch, _ = draw_batches()
    losses = method(networks, batch)
    log_p = networks.predict(batch.inputs).log_softmax(1)
    expected = -log_p[torch.arange(COUNT), batch.labels].mean()
    assert losses.label_loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert losses.domain_loss is None
    losses.label_loss.backward()
    assert all(parameter.grad is None for parameter in networks.domain_classifier.parameters())


def test_batch_norm_sees_both_domains_together_or_each_alone():
    source_inputs, target_inputs = (s.inputs.flatten(1)[:8, :6].double() for s in _splits())
    source = LabelledBatch(source_inputs, torch.zeros(8, dtype=torch.int64))

    def extract(batch_norm: str) -> torch.Tensor:
        seen = []
        norm = nn.BatchNorm1d(6, affine=False).double()
        norm.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
        networks = Networks(norm, nn.Linear(6, 2).double(), nn.Sequential(nn.Linear(6, 1), nn.Flatten(0)).double())
        dann(networks, source, Batch(target_inputs), alpha=1.0, batch_norm=batch_norm)
        return torch.cat(seen)

    both = torch.cat([source_inputs, target_inputs])
    expected = (both - both.mean(0)) / (both.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(extract("joint"), expected)
    alone = [(part - part.mean(0)) / (part.var(0, correction=0) + 1e-5).sqrt() for part in both.split(8)]
    torch.testing.assert_close(extract("separate"), torch.cat(alone))


def _splits():
    pair = image_pair()
    return pair.source, pair.target


def test_what_each_method_reads():
    reads = {name: (method.reads, method.adversarial) for name, method in METHODS.items()}
    assert reads["source_only"] == ("source", False)
    assert reads["dann"] == ("source and target", True)
    assert reads["target_only"] == ("target labels", False)
    # Nothing else may ask for target labels.
    assert [name for name, (what, _) in reads.items() if what == "target labels"] == ["target_only"]
