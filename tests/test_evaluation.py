import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from datasets import Labelled
from experiments.evaluation import accuracy, evaluate, information_maximisation, project, proxy_a_distance
from experiments.evaluation import sample_features as draw_features
from experiments.networks import build_networks
from tests.small_runs import image_pair


def test_information_maximisation_by_hand():
    """p = (3/4, 1/4) and (1/4, 3/4): the mean is even, H = ln 2; each row has H = ln 4 - 3/4 ln 3."""
    logits = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).log()
    expected = math.log(2) - (math.log(4) - 0.75 * math.log(3))
    assert information_maximisation(logits) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        (100.0 * torch.eye(4), math.log(4)),  # sure, and all classes used
        (torch.zeros(4, 4), 0.0),  # unsure
        (100.0 * torch.eye(4)[[2, 2, 2, 2]], 0.0),  # sure, one class alone
        (torch.full((2, 3), -1e4) + 2e4 * torch.eye(3)[:2], math.log(2)),  # no overflow, 0 ln 0 = 0
    ],
)
def test_information_maximisation_at_its_ends(logits, expected):
    assert information_maximisation(logits) == pytest.approx(expected, abs=1e-9)


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.floats(-30, 30)))
def test_information_maximisation_equals_the_formula_in_numpy(logits):
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)

    def entropy(q):
        return -(q * np.log(q)).sum(-1)

    score = information_maximisation(torch.from_numpy(logits))
    assert score == pytest.approx(entropy(p.mean(0)) - entropy(p).mean(), abs=1e-9)
    assert -1e-9 <= score <= math.log(logits.shape[1]) + 1e-9


def test_proxy_a_distance_between_equal_and_between_separate_domains():
    random = np.random.default_rng(0)
    domain_labels = np.repeat([0, 1], 500)
    same = random.normal(size=(1000, 5))
    # Chance: the smallest of ten test errors over 500 points lies within some 3 standard deviations, 0.022 each.
    assert 0 <= proxy_a_distance(same, domain_labels) < 0.3
    apart = same + 10 * domain_labels[:, None]
    assert proxy_a_distance(apart, domain_labels) == 2.0
    # Half of the target far away: a quarter of all points are recognised wrongly at best.
    between = same + 20 * (domain_labels * (np.arange(1000) // 2 % 2))[:, None]
    assert proxy_a_distance(between, domain_labels) == pytest.approx(1.0, abs=0.2)


def test_projection_keeps_distances():
    random = np.random.default_rng(0)
    features = (random.normal(size=(50, 20)) @ random.normal(size=(20, 100)) + 7).astype(np.float32)
    projected = project(features)
    assert projected.shape == (50, 32)
    assert projected.dtype == np.float32

    def distances(points):
        points = points.astype(np.float64)
        return np.linalg.norm(points[:, None] - points[None], axis=2)

    np.testing.assert_allclose(distances(projected), distances(features), rtol=1e-4, atol=1e-3)
    assert project(features[:, :5]).shape == (50, 5)


def test_accuracy_counts_every_sample_once(monkeypatch):
    monkeypatch.setattr("experiments.evaluation.EVALUATION_BATCH", 7)  # 48 = 6 * 7 + 6
    pair = image_pair()
    networks = build_networks("mnist_paper", classes=3, seed=0).eval()
    test, mean = pair.evaluation.source_test, pair.source.mean()
    with torch.no_grad():
        inputs = test.inputs.permute(0, 3, 1, 2) / 255 - mean[:, None, None]
        expected = (networks.predict(inputs).argmax(1) == test.labels).float().mean().item()
        assert accuracy(networks, test, mean) == pytest.approx(expected, abs=1e-7)
        right = Labelled(name="x", inputs=test.inputs, labels=networks.predict(inputs).argmax(1))
        assert accuracy(networks, right, mean) == 1.0


def test_the_label_free_score_sees_no_target_label():
    pair = image_pair()
    test = pair.evaluation.target_test
    poisoned = dataclasses.replace(
        pair,
        evaluation=dataclasses.replace(
            pair.evaluation, target_test=dataclasses.replace(test, labels=torch.zeros_like(test.labels))
        ),
        _open_target=lambda: pytest.fail("the training labels of the target were opened"),
    )
    networks = build_networks("mnist_modern", classes=3, seed=0)
    clean, wrong = (evaluate(networks, p, pair.source.mean()) for p in (pair, poisoned))
    assert clean["target_accuracy"] != wrong["target_accuracy"]
    del clean["target_accuracy"], wrong["target_accuracy"]
    assert clean == wrong


def test_evaluation_changes_nothing_and_hands_back_training_mode():
    pair = image_pair()
    networks = build_networks("mnist_modern", classes=3, seed=0).train()
    before = {name: value.clone() for name, value in networks.state_dict().items()}
    random = torch.get_rng_state()
    first = evaluate(networks, pair, pair.source.mean())
    assert evaluate(networks, pair, pair.source.mean()) == first
    draw_features(networks, pair, pair.source.mean())
    assert networks.training
    assert torch.equal(random, torch.get_rng_state())
    for name, value in networks.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_features_of_both_domains_source_first():
    pair = image_pair()
    sample = draw_features(build_networks("mnist_paper", classes=3, seed=0), pair, pair.source.mean())
    assert sample["features"].shape == (96, 768)
    assert sample["domain_labels"].tolist() == [0] * 48 + [1] * 48
    assert sorted(sample["labels"][:48].tolist()) == sorted(pair.evaluation.source_test.labels.tolist())
