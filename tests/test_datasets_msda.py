import numpy as np
import pytest
from sklearn.svm import LinearSVC

from datasets import msda
from datasets.files.prepared import open_prepared, write_prepared


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(0.5, (60, 12)).astype(np.float32)


def test_closed_form_is_the_limit_of_sampling(counts):
    """Ridge regression from many corrupted copies to the clean inputs, the expectation replaced by a mean."""
    random, copies, size = np.random.default_rng(1), 4000, counts.shape[1]
    clean = counts.astype(float)
    outer, cross = np.zeros((size + 1, size + 1)), np.zeros((size, size + 1))
    for _ in range(copies):
        corrupted = np.hstack([clean * (random.random(clean.shape) >= 0.5), np.ones((len(clean), 1))])
        outer += corrupted.T @ corrupted / copies
        cross += clean.T @ corrupted / copies
    outer[np.diag_indices(size)] += 1e-5
    sampled = np.linalg.solve(outer, cross.T).T
    np.testing.assert_allclose(msda.fit_layer(counts), sampled, atol=0.05)


def test_without_corruption_it_restores_exactly(counts):
    weights = msda.fit_layer(counts, corruption=0.0)
    np.testing.assert_allclose(weights, np.hstack([np.eye(12), np.zeros((12, 1))]), atol=1e-4)


def test_layer_by_the_formula(counts):
    weights = np.random.default_rng(2).normal(size=(12, 13))
    expected = np.tanh(np.hstack([counts, np.ones((60, 1))]) @ weights.T)
    np.testing.assert_allclose(msda.apply_layer(weights, counts), expected, atol=1e-5)


def test_layers_lie_beside_the_inputs(counts):
    parts = {"source_train": counts[:20], "target_train": counts[20:40], "target_test": counts[40:]}
    stacked = msda.stack_layers(parts, ("source_train", "target_train"), layers=3)
    assert {name: array.shape for name, array in stacked.items()} == dict.fromkeys(parts, (20, 48))
    np.testing.assert_array_equal(stacked["target_test"][:, :12], counts[40:])
    weights = msda.fit_layer(counts[:40])
    np.testing.assert_allclose(stacked["target_test"][:, 12:24], msda.apply_layer(weights, counts[40:]), atol=1e-6)


def test_test_inputs_do_not_influence_the_fit(counts):
    fitted = ("source_train", "target_train")
    parts = {"source_train": counts[:20], "target_train": counts[20:40], "target_test": counts[40:]}
    other = parts | {"target_test": counts[40:] * 3}
    np.testing.assert_array_equal(
        msda.stack_layers(parts, fitted)["source_train"], msda.stack_layers(other, fitted)["source_train"]
    )


def test_a_word_that_never_occurs_is_harmless(counts):
    counts[:, 3] = 0
    assert np.isfinite(msda.fit_layer(counts)).all()


def test_computed_once_per_pair_and_content(counts, tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path))
    arrays = {f"{split}_inputs": counts for split in ("train", "test")}
    write_prepared(tmp_path / "a.grl", {}, arrays)
    write_prepared(tmp_path / "b.grl", {}, {name: array + 1 for name, array in arrays.items()})
    first, second = open_prepared(tmp_path / "a.grl"), open_prepared(tmp_path / "b.grl")
    represented = msda.represent(first, second)
    assert represented.arrays["target_test"].shape == (60, msda.width_of(12, 120)) == (60, 72)
    stacked = msda.stack_layers({"a": counts, "b": counts + 1}, ("a", "b"))
    products = represented.arrays["target_test"] @ represented.arrays["source_train"].T
    np.testing.assert_allclose(products, stacked["b"] @ stacked["a"].T, rtol=1e-3)
    monkeypatch.setattr(msda, "stack_layers", None)  # any further computation would fail
    assert msda.represent(first, second).digest == represented.digest
    back = msda.represent(second, first)
    for there, here in (("source", "target"), ("target", "source")):
        np.testing.assert_array_equal(back.arrays[f"{here}_test"], represented.arrays[f"{there}_test"])
    with pytest.raises(TypeError):
        msda.represent(first, first)


def test_coordinates_in_the_span_keep_products_with_what_spans_it():
    """More numbers than spanning samples: a linear model fitted on those decides as before, on other samples, too."""
    random = np.random.default_rng(0)
    parts = {name: random.standard_normal((count, 50)).astype(np.float32) for name, count in (("a", 8), ("b", 20))}
    expressed = msda.express_in_span(parts, ("a",))
    assert expressed["b"].shape == (20, msda.width_of(50, 8)) == (20, 8)
    np.testing.assert_allclose(expressed["a"] @ expressed["a"].T, parts["a"] @ parts["a"].T, atol=1e-4)
    np.testing.assert_allclose(expressed["b"] @ expressed["a"].T, parts["b"] @ parts["a"].T, atol=1e-4)
    labels = random.integers(0, 2, 8)
    fits = [LinearSVC(dual=True, tol=1e-9, max_iter=100_000).fit(each["a"], labels) for each in (parts, expressed)]
    whole, short = (fit.decision_function(each["b"]) for fit, each in zip(fits, (parts, expressed), strict=True))
    np.testing.assert_allclose(short, whole, atol=1e-3)
