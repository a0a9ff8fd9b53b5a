"""Validators: formulas at values worked out by hand, bounds, and which step they choose."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from experiments.errors import BadInput
from experiments.validators import (
    SELECTIONS,
    VALIDATORS,
    Validator,
    class_correlation,
    find_validator,
    information_maximisation,
    negative_entropy,
    nuclear_norm,
    proxy_a_distance,
    score_all,
    select,
    soft_neighbourhood_density,
    source_accuracy,
)

# Four samples, three classes.
FOUR = np.array([[2.0, 0, 0], [0, 2, 0], [0, 0, 2], [1, 1, 0]])

logits = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.floats(-30, 30))


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (negative_entropy, -0.7535188),
        (information_maximisation, 0.3405296),
        (nuclear_norm, 0.6361361),
        (soft_neighbourhood_density, 0.2654560),
        (class_correlation, -1.5262937),
    ],
)
def test_values_of_four_samples(score, expected):
    assert score(FOUR) == pytest.approx(expected, abs=1e-7)


def test_information_maximisation_by_hand():
    """p = (3/4, 1/4) and (1/4, 3/4): the mean is even, H = ln 2; each row has H = ln 4 - 3/4 ln 3."""
    found = information_maximisation(np.log([[0.75, 0.25], [0.25, 0.75]]))
    assert found == pytest.approx(math.log(2) - (math.log(4) - 0.75 * math.log(3)), abs=1e-12)


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        (100.0 * np.eye(4), math.log(4)),  # sure, and all classes used
        (np.zeros((4, 4)), 0.0),  # unsure
        (100.0 * np.eye(4)[[2, 2, 2, 2]], 0.0),  # sure, one class alone
        (np.full((2, 3), -1e4) + 2e4 * np.eye(3)[:2], math.log(2)),  # no overflow, 0 ln 0 = 0
    ],
)
def test_information_maximisation_at_its_ends(logits, expected):
    assert information_maximisation(logits.astype(np.float32)) == pytest.approx(expected, abs=1e-9)


def probabilities(logits):
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


@given(logits)
def test_scores_equal_their_formulas_and_keep_their_bounds(logits):
    p, classes = probabilities(logits), logits.shape[1]

    def entropy(q):
        return -(q * np.log(q)).sum(-1)

    assert negative_entropy(logits) == pytest.approx(-entropy(p).mean(), abs=1e-9)
    assert information_maximisation(logits) == pytest.approx(entropy(p.mean(0)) - entropy(p).mean(), abs=1e-9)
    assert nuclear_norm(logits) == pytest.approx(np.linalg.svd(p, compute_uv=False).sum() / len(p), abs=1e-6)
    assert -math.log(classes) - 1e-9 <= negative_entropy(logits) <= 1e-9
    assert -1e-9 <= information_maximisation(logits) <= math.log(classes) + 1e-9


@given(logits)
def test_densities_and_correlations_keep_their_bounds(logits):
    count, classes = logits.shape
    assert -1e-9 <= soft_neighbourhood_density(logits) <= math.log(max(count - 1, 1)) + 1e-9
    assert -math.sqrt(classes) - 1e-9 <= class_correlation(logits) <= -1 + 1e-9


def test_two_dense_groups_are_denser_than_one_sample_apart():
    groups = np.repeat(np.array([[4.0, 0], [0, 4]]), 5, axis=0)
    assert soft_neighbourhood_density(groups) == pytest.approx(math.log(4), abs=1e-3)
    assert soft_neighbourhood_density(100 * np.eye(2)[[0, 1]]) == 0.0
    assert class_correlation(100 * np.eye(3)) == pytest.approx(-math.sqrt(3))
    assert class_correlation(100 * np.eye(3)[[1, 1, 1]]) == pytest.approx(-1)


def test_source_accuracy_counts():
    assert source_accuracy(FOUR, np.array([0, 1, 1, 0])) == 0.75


# Choosing

EVALUATIONS = {
    10: {"source_validation_accuracy": 0.9, "target_accuracy": 0.5, "information_maximisation": 0.2},
    20: {"source_validation_accuracy": 0.8, "target_accuracy": 0.7, "information_maximisation": 0.4},
    30: {"source_validation_accuracy": 0.9, "target_accuracy": 0.6, "information_maximisation": 0.4},
    40: {"source_validation_accuracy": 0.7, "target_accuracy": 0.4, "information_maximisation": 0.1},
}


@pytest.mark.parametrize(
    ("selection", "step"),
    [("last", 40), ("source_accuracy", 30), ("information_maximisation", 30), ("target_oracle", 20)],
)
def test_the_chosen_step(selection, step):
    """On a tie, the later one."""
    assert select(EVALUATIONS, selection) == step


@pytest.mark.parametrize("selection", ["last", "source_accuracy", "information_maximisation"])
def test_only_the_oracle_looks_at_target_accuracy(selection):
    turned = {step: values | {"target_accuracy": 1 - values["target_accuracy"]} for step, values in EVALUATIONS.items()}
    assert select(turned, selection) == select(EVALUATIONS, selection)
    assert select(turned, "target_oracle") != select(EVALUATIONS, "target_oracle")


def test_a_selection_that_was_not_recorded_is_refused():
    with pytest.raises(BadInput, match="selection nuclear_norm needs nuclear_norm, which was not recorded"):
        select(EVALUATIONS, "nuclear_norm")
    with pytest.raises(BadInput, match="unknown validator 'lasst': did you mean 'last'\\?"):
        select(EVALUATIONS, "lasst")


def test_every_validator_scores_what_it_needs_and_no_other():
    seen = {"target_logits": FOUR, "source_logits": FOUR, "source_labels": np.array([0, 1, 2, 0])}
    curves = {validator.curve for validator in VALIDATORS.values()}
    assert len(curves) == len(VALIDATORS)
    assert score_all({}) == {}
    assert score_all({"target_logits": FOUR}).keys() == {
        validator.curve for validator in VALIDATORS.values() if set(validator.needs) == {"target_logits"}
    }
    assert score_all(seen)["source_validation_accuracy"] == 1.0
    assert set(VALIDATORS) < set(SELECTIONS)


MINE = Validator(lambda target_logits: float(target_logits.max()), ("target_logits",), "largest_logit")


def test_a_validator_of_ones_own_by_its_import_path():
    found = find_validator(f"{__name__}:MINE")
    assert found is MINE
    assert found.score(FOUR) == 2.0
    with pytest.raises(BadInput, match=r"FOUR must be an experiments.validators.Validator, got array"):
        find_validator(f"{__name__}:FOUR")


# The proxy A-distance


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
