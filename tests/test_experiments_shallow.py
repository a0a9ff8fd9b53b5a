"""SVM, subspace alignment and the shallow DANN, each beside an implementation of its own."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.decomposition import PCA
from sklearn.svm import LinearSVC

from datasets import Augment
from experiments.errors import BadInput
from experiments.identity import describe
from experiments.launch import check_all
from experiments.methods import Passed
from experiments.methods.anchors import SourceOnly, TargetOnly
from experiments.methods.dann import DANN
from experiments.methods.sa import SA
from experiments.methods.svm import SVM
from experiments.networks import build_networks
from experiments.networks.moons import Moons
from experiments.networks.raw import Raw
from experiments.networks.shallow import Shallow
from experiments.recipes.reviews import ALPHAS, CS, PAIRS, candidates
from experiments.training.diagnosis import examine_method
from experiments.training.fitted import FittedProgram, family_of
from experiments.work.notebook import run
from experiments.work.pairs import first_weights
from grl.schedules import Constant
from tests.support.small_runs import small_moons


def counts(samples: int, features: int, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    inputs = np.random.default_rng(0).poisson(0.3, (samples, features)).astype(np.float32)
    return inputs, (inputs[:, : features // 4].sum(1) % classes).astype(np.int64)


@pytest.mark.parametrize("features", [20, 300])  # fewer than samples, and more: solved by samples
@pytest.mark.parametrize("c", [1e-4, 0.03, 10.0])
def test_svm_is_liblinears(features, c):
    inputs, labels = counts(120, features)
    svm = SVM(c=c)
    weights, biases = svm.fit(svm.prepare(inputs, None), labels, 2)
    reference = LinearSVC(C=c, dual=False, tol=1e-10, max_iter=100_000).fit(inputs.astype(float), labels)
    np.testing.assert_allclose(weights[1], reference.coef_[0], atol=1e-4)
    np.testing.assert_allclose(biases[1], reference.intercept_[0], atol=1e-3)
    np.testing.assert_allclose(weights[0], -weights[1], atol=1e-4)


def test_svm_minimises_its_own_formula():
    """The minimum that a general optimiser finds of |(w, b)|² / 2 + c · Σ max(0, 1 - y (w x + b))²."""
    inputs, labels = counts(15, 30)
    signs, extended = 2.0 * labels - 1, np.hstack([inputs, np.ones((15, 1))])

    def objective(w):
        hinge = np.maximum(0, 1 - signs * (extended @ w))
        return w @ w / 2 + 0.5 * hinge @ hinge, w - extended.T @ (signs * hinge)

    found = minimize(objective, np.zeros(31), jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9})
    svm = SVM(c=0.5)
    weights, biases = svm.fit(svm.prepare(inputs, None), labels, 2)
    np.testing.assert_allclose([*weights[1], biases[1]], found.x, atol=1e-5)


@pytest.mark.parametrize("features", [12, 90])
def test_svm_of_several_classes_and_of_one(features):
    inputs, labels = counts(60, features, classes=3)
    svm = SVM(c=0.1)
    prepared = svm.prepare(inputs, None)
    weights, biases = svm.fit(prepared, labels, 4)
    reference = LinearSVC(C=0.1, dual=False, tol=1e-10, max_iter=100_000).fit(inputs.astype(float), labels)
    np.testing.assert_allclose(weights[:3], reference.coef_, atol=1e-4)
    np.testing.assert_allclose(biases, [*reference.intercept_, -1], atol=1e-3)  # of the fourth there is no sample
    # A reversed run may be given labels of one class: it predicts that class.
    weights, biases = svm.fit(prepared, np.ones(60, np.int64), 3)
    assert ((inputs @ weights.T + biases).argmax(1) == 1).all()


@pytest.mark.parametrize("features", [9, 70])
def test_subspace_alignment_by_its_steps(features):
    """PCA of each domain, the source through P_s P_sᵀ P_t, the target through P_t: with scikit-learn's parts."""
    random = np.random.default_rng(3)
    source, labels = counts(50, features)
    target = (random.poisson(0.5, (40, features)) @ random.normal(size=(features, features))).astype(np.float32)
    ours, theirs = PCA(4).fit(target), PCA(4).fit(source)
    aligned = theirs.transform(source) @ (theirs.components_ @ ours.components_.T)
    reference = LinearSVC(C=0.5, dual=False, tol=1e-10, max_iter=100_000).fit(aligned.astype(float), labels)
    sa = SA(dimensions=4, c=0.5)
    weights, biases = sa.fit(sa.prepare(source, target), labels, 2)
    logits = (target @ weights.T + biases)[:, 1] - (target @ weights.T + biases)[:, 0]
    np.testing.assert_allclose(logits / 2, reference.decision_function(ours.transform(target)), atol=2e-3)


def test_of_equal_domains_subspace_alignment_is_the_svm():
    inputs, labels = counts(80, 10)
    inputs -= inputs.mean(0)
    sa, svm = SA(dimensions=10, c=0.1), SVM(c=0.1)
    found, expected = sa.fit(sa.prepare(inputs, inputs), labels, 2), svm.fit(svm.prepare(inputs, None), labels, 2)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def shallow_step(method: DANN, alpha: float):
    """Networks, the gradients of one step by the method, and those of algorithm 1 by hand."""
    networks = build_networks(Shallow(hidden=5), method.heads, shape=(7,), classes=2, seed=0)
    inputs, labels = torch.randn(2, 7, generator=torch.Generator().manual_seed(0)), torch.tensor([1])
    features = networks.feature_extractor(inputs)
    passed = Passed(features, networks.label_predictor(features[:1]), labels, torch.tensor([0.0, 1.0]))
    losses = method.losses(networks, passed, alpha=alpha)
    slopes = dict(
        zip(
            dict(networks.named_parameters()),
            torch.autograd.grad(losses.objective, [*networks.parameters()]),
            strict=True,
        )
    )
    with torch.no_grad():
        w, b = networks.feature_extractor[0].parameters()
        v, c = networks.label_predictor.parameters()
        u, d = networks.heads["domain_classifier"][0].parameters()
        h = torch.sigmoid(inputs @ w.T + b)
        wrong = torch.softmax(h[:1] @ v.T + c, 1) - torch.eye(2)[labels]
        o = torch.sigmoid(h @ u.T + d)
        apart = o - torch.tensor([[0.0], [1.0]])  # of each of the two, summed
        back = torch.cat([wrong @ v, torch.zeros(1, 5)]) - alpha * apart @ u
        back = back * h * (1 - h)
        hand = {
            "feature_extractor.0.weight": back.T @ inputs,
            "feature_extractor.0.bias": back.sum(0),
            "label_predictor.weight": wrong.T @ h[:1],
            "label_predictor.bias": wrong.sum(0),
            "heads.domain_classifier.0.weight": apart.T @ h,
            "heads.domain_classifier.0.bias": apart.sum(0),
        }
    return slopes, hand


@pytest.mark.parametrize(("rate", "times"), [("alpha", 0.3), ("full", 1.0)])
def test_shallow_dann_takes_the_step_of_algorithm_1(rate, times):
    slopes, hand = shallow_step(DANN(domain_rate=rate), 0.3)
    assert slopes.keys() == hand.keys()
    for name, slope in slopes.items():
        factor = times if name.startswith("heads") else 1.0
        torch.testing.assert_close(slope, factor * hand[name], rtol=1e-5, atol=1e-6)


def test_a_classifier_slowed_on_purpose_is_healthy(moons_pair):
    experiment = small_moons(method=DANN(alpha=Constant(value=0.3), domain_rate="alpha"))
    networks = build_networks(Moons(), experiment.method.heads, shape=(2,), classes=2, seed=0)
    assert examine_method(experiment, networks, moons_pair, torch.zeros(2)).status == "reversed"


def test_bad_fields_are_named():
    with pytest.raises(BadInput, match=r"unknown method.domain_rate 'half': allowed are alpha, full"):
        DANN(domain_rate="half")
    with pytest.raises(BadInput, match=r"method.c must be finite and > 0, got 0"):
        SVM(c=0)
    with pytest.raises(BadInput, match=r"method.dimensions must be >= 1, got 0"):
        SA(dimensions=0)
    with pytest.raises(BadInput, match=r"method.after must be a method that trains by steps, got SVM"):
        SA(after=SVM())
    with pytest.raises(BadInput, match=r"method.after.batch_norm must be joint or separate, got domain_specific"):
        SVM(after=DANN(batch_norm="domain_specific"))
    with pytest.raises(BadInput, match=r"method.after must not read target labels, got TargetOnly"):
        SVM(after=TargetOnly())
    with pytest.raises(BadInput, match=r"method.label_smoothing must be 0 of a method without steps, got 0.1"):
        SVM(label_smoothing=0.1)
    inputs, labels = counts(20, 5)
    with pytest.raises(BadInput, match=r"method.dimensions must be at most 5 here, got 6"):
        SA(dimensions=6).fit(SA().prepare(inputs, inputs), labels, 2)
    with pytest.raises(BadInput, match=r"give network raw to fit the inputs, or method\.after, got network moons"):
        check_all([small_moons(method=SVM())])
    with pytest.raises(BadInput, match=r"give network raw to fit the inputs, or method\.after, got network moons"):
        run(small_moons(method=SVM()))


def test_a_fit_is_a_run_like_any_other(runs):
    """On raw inputs, and in place of the last layer of a network that another run has trained."""
    fit = small_moons(method=SVM(), network=Raw())
    result = run(fit)
    assert 0.8 < result.last["source_accuracy"] < 1  # the moons are not linearly separable
    assert (
        run(dataclasses.replace(fit, method=SA(dimensions=1))).last["target_accuracy"] != result.last["target_accuracy"]
    )
    after = dataclasses.replace(fit, method=SVM(after=SourceOnly()), network=Moons())
    with pytest.raises(BadInput, match=r"method.after needs the run .* of source_only"):
        run(after)
    before = run(dataclasses.replace(after, method=SourceOnly()))
    again = run(after)
    kept = [torch.load(each.folder / "model.pt", weights_only=True) for each in (before, again)]
    differing = [name for name in kept[1] if not torch.equal(kept[0][name], kept[1][name])]
    assert differing == ["label_predictor.weight", "label_predictor.bias"]
    assert abs(again.last["source_accuracy"] - before.last["source_accuracy"]) < 0.1


def test_only_fits_on_the_same_inputs_share_a_program():
    fit = small_moons(method=SVM(after=SourceOnly()))
    same = dataclasses.replace(fit, method=SVM(after=SourceOnly(), c=0.5))
    assert family_of(same) == family_of(fit)
    for change in ({"lr": Constant(value=0.2)}, {"steps": 40}, {"seed": 1}, {"pair": f"moons_circular_{fit.hash}"}):
        assert family_of(dataclasses.replace(fit, **change)) != family_of(fit), change
    raw = small_moons(method=SVM(), network=Raw())
    assert family_of(dataclasses.replace(raw, seed=1)) == family_of(raw)
    assert family_of(dataclasses.replace(raw, augment=Augment(crop=20))) != family_of(raw)


def test_a_fit_centres_its_inputs_as_the_networks_it_takes_up_were_trained(moons_pair):
    both = (moons_pair.source.mean() + moons_pair.target.mean()) / 2
    torch.testing.assert_close(SVM(after=DANN()).mean_of_inputs(moons_pair), both)
    torch.testing.assert_close(SA(after=SourceOnly()).mean_of_inputs(moons_pair), moons_pair.source.mean())
    torch.testing.assert_close(SVM().mean_of_inputs(moons_pair), moons_pair.source.mean())
    program = FittedProgram([small_moons(method=SVM(after=DANN()))], [moons_pair])
    torch.testing.assert_close(program._mean, both)
    assert describe(SVM())["version"] == 1 < describe(SVM(after=DANN()))["version"]


def test_a_fit_after_a_stale_run_is_refused(runs, monkeypatch):
    after = small_moons(method=SVM(after=SourceOnly()))
    run(small_moons(method=SourceOnly()))
    assert first_weights(after)
    monkeypatch.setattr("experiments.work.pairs.fingerprint_of", lambda pair: "another")
    with pytest.raises(BadInput, match=r"method.after needs the run .* of source_only"):
        first_weights(after)


def test_the_papers_grids():
    assert (ALPHAS[0], ALPHAS[-1], len(ALPHAS)) == (0.01, 1.0, 9)
    np.testing.assert_allclose(ALPHAS, np.logspace(-2, 0, 9), rtol=4e-3)
    np.testing.assert_allclose(CS, np.logspace(-5, 0, 10))
    assert len(set(PAIRS)) == 12
    assert [len(candidates(PAIRS[0], column)) for column in ("dann", "nn", "svm")] == [18, 2, 10]
    assert not any(
        isinstance(each.method, TargetOnly) for column in ("dann", "nn", "svm") for each in candidates(PAIRS[0], column)
    )
