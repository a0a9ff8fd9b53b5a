"""Validators: formulas at values worked out by hand, bounds, and which step they choose."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from experiments.errors import BadInput
from experiments.record.files import read_json
from experiments.record.folder import folder_of, read_points
from experiments.record.names import KNOW_TARGET_LABELS, RECORDED, RESULT
from experiments.validators import (
    SELECTIONS,
    VALIDATORS,
    Validator,
    find_validator,
    proxy_a_distance,
    score_all,
    score_steps,
    select,
)
from experiments.validators.class_ami import class_ami, find_clusters
from experiments.validators.class_correlation import class_correlation
from experiments.validators.ensv import ensemble_agreement
from experiments.validators.entropies import information_maximisation, negative_entropy
from experiments.validators.importance import (
    cross_entropy,
    dev,
    devn,
    embedded_risk,
    importance_weighting,
    normalised_risk,
    weigh,
    weighted_risk,
)
from experiments.validators.mixval import mixval
from experiments.validators.nuclear_norm import nuclear_norm
from experiments.validators.soft_neighbourhood_density import soft_neighbourhood_density
from experiments.validators.source_accuracy import source_accuracy
from experiments.validators.transfer_score import hopkins, transfer_score, uniformity
from experiments.work.run import train_runs
from tests.support.small_runs import small_moons

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


# Importance weights

WEIGHTS, ERRORS = np.array([0.5, 1, 1.5, 3]), np.array([0.1, 0.4, 0.2, 0.9])


def test_risks_of_four_samples():
    """eta = -1.0857143; normalised, the weights are 2/3, 5/6, 1 and 3/2, and their mean is 1."""
    assert weighted_risk(WEIGHTS, ERRORS) == pytest.approx(0.8625, abs=1e-12)
    assert embedded_risk(WEIGHTS, ERRORS) == pytest.approx(0.3196429, abs=1e-7)
    assert embedded_risk(WEIGHTS, ERRORS) == pytest.approx(0.8625 - 1.0857143 * (1.5 - 1), abs=1e-6)
    assert normalised_risk(WEIGHTS, ERRORS) == pytest.approx(0.4875, abs=1e-12)


def test_equal_weights_make_all_risks_the_plain_one():
    ones = np.ones(4)
    assert weighted_risk(ones, ERRORS) == embedded_risk(ones, ERRORS) == pytest.approx(0.4)
    assert normalised_risk(7 * ones, ERRORS) == pytest.approx(0.4)
    labels = np.array([0, 1, 1, 2])
    plain = -np.mean([math.log(probabilities(FOUR)[row, label]) for row, label in enumerate(labels)])
    assert cross_entropy(FOUR, labels).mean() == pytest.approx(plain)
    for score in (importance_weighting, dev, devn):
        assert score(ones, FOUR, labels) == pytest.approx(-plain)
    assert np.isfinite(cross_entropy(1e4 * FOUR, labels)).all()


def test_weights_are_those_of_scikit_learns_logistic_regression():
    """On 300 random sets, domains apart or not, the weights of the classifier were equal to 1e-5."""
    from sklearn.linear_model import LogisticRegression

    for seed, gap in enumerate((0.0, 0.5, 3.0, 50.0)):
        random = np.random.default_rng(seed)
        training, target, held_out = (random.normal(size=(count, 5)) for count in (120, 60, 40))
        target[:, 0] += gap
        both = np.concatenate([training, target])
        mean, spread = both.mean(0), both.std(0)
        reference = LogisticRegression(tol=1e-10, max_iter=10_000).fit(
            (both - mean) / spread, np.repeat([0, 1], [120, 60])
        )
        chances = reference.predict_proba((held_out - mean) / spread)
        np.testing.assert_allclose(
            weigh(training, target, held_out), 120 / 60 * chances[:, 1] / chances[:, 0], rtol=1e-4
        )


def test_weights_of_normal_domains_are_their_density_ratio():
    """Two normal densities a distance d apart: w(x) = exp(d x - d² / 2)."""
    random = np.random.default_rng(0)
    training, target = random.normal(size=(20_000, 1)), 1 + random.normal(size=(20_000, 1))
    places = np.array([[-1.0], [0.0], [0.5], [2.0]])
    np.testing.assert_allclose(weigh(training, target, places), np.exp(places[:, 0] - 0.5), rtol=0.1)
    # The same domain twice weighs about one everywhere.
    np.testing.assert_allclose(weigh(training, training, places), 1.0, atol=1e-6)


# Clusters, mixtures, transfer score, ensemble


def test_clusters_are_those_of_scikit_learns_k_means():
    from sklearn.cluster import KMeans

    random = np.random.default_rng(0)
    features, means = random.normal(size=(300, 4)), random.normal(size=(5, 4))
    reference = KMeans(5, init=means, n_init=1, tol=0, max_iter=1000).fit(features).labels_
    np.testing.assert_array_equal(find_clusters(features, means), reference)


def test_class_ami_at_its_ends():
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(3), 40)
    apart = 20 * np.eye(3)[classes] + random.normal(size=(120, 3))
    assert class_ami(np.eye(3)[classes], apart) == pytest.approx(1.0)
    assert abs(class_ami(np.eye(3)[classes], random.normal(size=(120, 3)) * 1e-3)) < 0.5
    assert abs(class_ami(np.eye(3)[random.permutation(classes)], apart)) < 0.1  # unlike the clusters
    assert class_ami(np.eye(3)[np.zeros(120, int)], apart) == 0.0  # all in one class
    assert class_ami(np.eye(3)[classes], np.zeros((120, 3))) == pytest.approx(0.0, abs=1e-9)  # collapsed


def test_mixval_by_hand():
    """Pairs (0, 2) unlike and kept, (1, 3) unlike and lost, (0, 0) alike and kept: the mean of 1/2 and 1."""
    predicted = np.eye(4)[[0, 1, 0, 2, 3, 0]]
    assert mixval(predicted, np.eye(4)[[0, 3, 0]]) == pytest.approx((1 / 2 + 1) / 2)
    assert mixval(predicted[:1], np.eye(4)[[0]]) == 1.0  # with itself
    assert mixval(np.eye(2)[[0, 1]], np.eye(2)[[1]]) == 0.0  # no pair is alike


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_regular_simplex_is_uniform(classes):
    simplex = np.full((classes, classes), -1 / (classes - 1))
    np.fill_diagonal(simplex, 1.0)
    assert uniformity(simplex) == pytest.approx(0.0, abs=1e-12)
    assert uniformity(np.eye(classes)) == pytest.approx((math.acos(-1 / (classes - 1)) - math.pi / 2) ** 2)


def test_hopkins_tells_clusters_from_noise():
    random = np.random.default_rng(1)
    assert hopkins(random.random((1000, 2))) == pytest.approx(0.5, abs=0.1)
    centres = np.array([[0, 0], [0, 100], [100, 0]])
    assert hopkins(centres[random.integers(3, size=1000)] + random.normal(size=(1000, 2))) > 0.95
    assert hopkins(np.zeros((10, 2))) == 0.5


def test_the_transfer_score_is_the_sum_of_its_parts():
    logits, features = 100 * np.eye(3)[np.arange(60) % 3], np.random.default_rng(0).random((60, 2))
    assert transfer_score(logits, features, np.eye(3)) == pytest.approx(
        hopkins(features) + 1 - (math.acos(-1 / 2) - math.pi / 2) ** 2
    )


def test_the_ensemble_by_hand():
    """Three candidates, two samples: the mean of the probabilities votes 0 and 1."""
    candidates = 10 * np.eye(2)[[[0, 1], [0, 0], [1, 1]]]
    assert ensemble_agreement(candidates).tolist() == [1.0, 0.5, 0.5]
    scores = score_steps(
        "ensv", {step: {"target_logits": each} for step, each in zip((5, 6, 7), candidates, strict=True)}
    )
    assert scores == {5: 1.0, 6: 0.5, 7: 0.5}


# Choosing

EVALUATIONS = {
    10: {"source_validation_accuracy": 0.9, "target_validation_accuracy": 0.5, "information_maximisation": 0.2},
    20: {"source_validation_accuracy": 0.8, "target_validation_accuracy": 0.7, "information_maximisation": 0.4},
    30: {"source_validation_accuracy": 0.9, "target_validation_accuracy": 0.6, "information_maximisation": 0.4},
    40: {"source_validation_accuracy": 0.7, "target_validation_accuracy": 0.4, "information_maximisation": 0.1},
}


@pytest.mark.parametrize(
    ("selection", "step"),
    [("last", 40), ("source_accuracy", 30), ("information_maximisation", 30), ("target_oracle", 20)],
)
def test_the_chosen_step(selection, step):
    """On a tie, the later one."""
    assert select(EVALUATIONS, selection) == step


@pytest.mark.parametrize("selection", ["last", "source_accuracy", "information_maximisation"])
def test_only_the_oracle_looks_at_target_labels(selection):
    curve = "target_validation_accuracy"
    turned = {step: values | {curve: 1 - values[curve]} for step, values in EVALUATIONS.items()}
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
        each.curve for each in VALIDATORS.values() if set(each.needs) == {"target_logits"} and not each.compares
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


RECORDS = "which every run records"
TAKEN = [Validator(lambda logits: 0.0, ("target_logits",), name) for name in (*RECORDED, "nuclear_norm")]


@pytest.mark.parametrize("place", range(len(TAKEN)))
def test_a_validator_of_ones_own_goes_by_no_name_that_is_read_in_its_place(place, monkeypatch):
    """Else the target accuracy, for example, would choose."""
    monkeypatch.setattr(sys.modules[__name__], "FOUR", TAKEN[place])
    with pytest.raises(BadInput, match=rf"must be a name of its own, got '{TAKEN[place].curve}', {RECORDS}"):
        find_validator(f"{__name__}:FOUR")


def test_what_a_run_records_is_listed(runs):
    train_runs([small_moons()])
    folder = folder_of(small_moons().hash)
    curves = {name for point in read_points(folder) for name in point["values"]}
    assert curves | set(read_json(folder / RESULT)["metrics"]) <= {
        *RECORDED,
        *(each.curve for each in VALIDATORS.values()),
    }


@pytest.mark.parametrize("name", KNOW_TARGET_LABELS)
def test_no_validator_may_need_what_knows_target_labels(name):
    with pytest.raises(BadInput, match=f"validator mine must not need {name}, which knows target labels"):
        Validator(lambda known: 0.0, ("target_logits", name), "mine")


def test_arrays_that_are_not_finite_are_not_scored():
    seen = {"target_logits": FOUR, "target_features": np.full((4, 2), np.nan)}
    scores = score_all(seen)
    assert "class_ami" not in scores
    assert "nuclear_norm" in scores


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
