"""What an evaluation measures and keeps, and what it must not touch or see."""

import dataclasses

import numpy as np
import pytest
import torch

from experiments.methods import open_splits
from experiments.networks.mlp import MLP
from experiments.record.names import KNOW_TARGET_LABELS
from experiments.training import evaluation
from experiments.training.alone import Alone
from experiments.training.evaluation import Samples, mix, project
from tests.support.trainings import CPU, feature_pair, image_pair, on_images, train_alone


def evaluate_alone(pair, **changes) -> evaluation.Evaluation:
    [found] = Alone(on_images(**changes), pair, CPU).evaluate()
    return found


def test_accuracies_count_every_sample_once(monkeypatch):
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 7)
    pair = image_pair()
    program = Alone(on_images(), pair, CPU)
    [found] = program.evaluate()
    mean = (pair.source.mean() + pair.target.mean()) / 2
    samples = Samples(pair, mean)
    networks = program.member(0).eval()

    def right(split) -> torch.Tensor:
        with torch.no_grad():
            inputs = split.inputs.permute(0, 3, 1, 2) / 255 - mean[:, None, None]
            return (networks.predict(inputs)[1].argmax(1) == split.labels).double()

    known = pair.reveal_target_labels(reader="oracle")
    for name, expected in {
        "source_accuracy": right(samples.source_test)[samples.reported].mean(),
        "target_accuracy": right(samples.target_test).mean(),
        "target_rest_accuracy": right(samples.target_test).mean(),
        "target_validation_accuracy": right(known).mean(),  # all 48 are in the sample
    }.items():
        assert found.scores[name] == pytest.approx(expected.item(), abs=1e-12), name
    for name, split, places in (
        ("source_confusion", samples.source_test, samples.reported),
        ("target_confusion", samples.target_test, torch.arange(48)),
    ):
        counts = found.seen[name]
        assert counts.sum(1).tolist() == torch.bincount(split.labels[places], minlength=3).tolist()
        assert np.trace(counts) == right(split)[places].sum().item()


def test_what_chooses_is_not_what_is_reported():
    """The held-out source samples and those of the source accuracy make up the test split, without overlap."""
    pair = image_pair()
    samples = Samples(pair, pair.source.mean())
    held_out, reported = (set(places.tolist()) for places in (samples.held_out, samples.reported))
    assert not held_out & reported
    assert (len(held_out), len(held_out | reported)) == (24, 48)


def test_the_oracle_chooses_by_training_labels_and_reports_the_whole_test_split():
    pair = image_pair()
    samples = Samples(pair, pair.source.mean())
    assert (len(samples.validation), samples.rest.tolist()) == (0, list(range(48)))
    known = pair.reveal_target_labels(reader="oracle")
    for image, label in zip(samples.unlabelled.inputs, samples.validation_labels, strict=True):
        [place] = [place for place, other in enumerate(known.inputs) if torch.equal(image, other)]
        assert label == known.labels[place]


@pytest.mark.parametrize("without", ["a test split", "unseen labels"])
def test_the_oracle_divides_the_test_split_where_no_other_labels_are_left(without):
    """What `target_only` was trained on, or what is reported itself, chooses nothing."""
    pair = image_pair()
    known = pair.reveal_target_labels(reader="target_only")
    if without == "a test split":
        pair = dataclasses.replace(pair, evaluation=dataclasses.replace(pair.evaluation, target_test=known))
    reads, method = ("source and target", "dann") if without == "a test split" else ("target labels", "target_only")
    samples = Samples(pair, pair.target.mean(), reads)
    chosen, rest = set(samples.validation.tolist()), set(samples.rest.tolist())
    assert not chosen & rest
    assert (len(chosen), len(chosen | rest)) == (24, 48)
    scores = evaluate_alone(pair, method=method).scores
    mean = (scores["target_validation_accuracy"] + scores["target_rest_accuracy"]) / 2
    assert scores["target_accuracy"] == pytest.approx(mean)


def test_nothing_is_held_out_of_a_source_without_a_test_split():
    pair = image_pair()
    alike = dataclasses.replace(pair, evaluation=dataclasses.replace(pair.evaluation, source_test=pair.source))
    assert len(Samples(alike, pair.source.mean()).held_out) == 0
    seen = evaluate_alone(alike).seen
    assert "source_logits" not in seen
    assert "source_labels" not in seen


def test_target_only_is_never_measured_on_what_it_was_trained_on():
    """A target without a test split is divided: one half trains, the other one measures; no other method loses any."""
    pair = image_pair()
    known = pair.reveal_target_labels(reader="target_only")
    whole = dataclasses.replace(pair, evaluation=dataclasses.replace(pair.evaluation, target_test=known))
    trained = open_splits("target labels", whole)["target"]
    measured = Samples(whole, pair.target.mean(), "target labels").target_test

    def images(split) -> set[tuple[int, ...]]:
        return {tuple(image.flatten().tolist()) for image in split.inputs}

    assert not images(trained) & images(measured)
    assert images(trained) | images(measured) == images(known)
    assert len(trained) == len(measured) == 24
    for split in (trained, measured):
        for image, label in zip(split.inputs, split.labels, strict=True):
            [place] = [place for place, other in enumerate(known.inputs) if torch.equal(image, other)]
            assert label == known.labels[place]
    assert Samples(whole, pair.target.mean()).target_test is known
    # With a test split nothing is divided.
    assert open_splits("target labels", pair)["target"] is known
    assert Samples(pair, pair.target.mean(), "target labels").target_test is pair.evaluation.target_test


def test_an_anchor_that_learns_by_heart_does_not_score_1():
    pair = feature_pair(50)
    known = pair.reveal_target_labels(reader="target_only")
    whole = dataclasses.replace(pair, evaluation=dataclasses.replace(pair.evaluation, target_test=known))
    recipe = on_images(method="target_only", pair="features", network=MLP(), steps=200, evaluate_every=200)
    scores = train_alone(recipe, whole).points()[-1][1]
    assert scores["target_accuracy"] < 0.8  # labels are at random: a third is right by chance


def test_what_is_seen_has_the_shapes_that_the_record_promises():
    seen = evaluate_alone(image_pair()).seen
    assert {name: value.shape for name, value in seen.items()} == {
        "target_logits": (48, 3),
        "mixed_logits": (24, 3),
        "source_logits": (24, 3),
        "source_labels": (24,),
        "training_features": (48, 32),
        "source_features": (24, 32),
        "target_features": (48, 32),
        "class_cosines": (3, 3),
        "features": (96, 32),
        "labels": (96,),
        "domain_labels": (96,),
        "source_confusion": (3, 3),
        "target_confusion": (3, 3),
        "shown_places": (16,),
        "shown_labels": (16,),
        "shown_images": (16, 28, 28, 3),
        "shown_logits": (16, 3),
        "target_right": (6,),
    }
    assert seen["domain_labels"].tolist() == [0] * 48 + [1] * 48
    assert sorted(seen["labels"][:48].tolist()) == sorted(image_pair().evaluation.source_test.labels.tolist())


def test_the_logits_of_the_target_are_of_training_inputs_in_a_fixed_order(monkeypatch):
    monkeypatch.setattr(evaluation, "UNLABELLED_SAMPLE", 10)
    pair = image_pair()
    program = Alone(on_images(), pair, CPU)
    [first], [second] = program.evaluate(), program.evaluate()
    assert first.seen["target_logits"].shape == (10, 3)
    np.testing.assert_array_equal(first.seen["target_logits"], second.seen["target_logits"])
    samples = Samples(pair, pair.source.mean())
    assert all(any(torch.equal(image, each) for each in pair.target.inputs) for image in samples.unlabelled.inputs)
    assert samples.unlabelled.labels.unique().tolist() == [0]


def test_label_free_arrays_see_no_target_label():
    pair = image_pair()
    test, known = pair.evaluation.target_test, pair.reveal_target_labels(reader="oracle")
    wrong_test, wrong_known = (
        dataclasses.replace(split, labels=torch.zeros_like(split.labels)) for split in (test, known)
    )
    poisoned = dataclasses.replace(
        pair,
        evaluation=dataclasses.replace(pair.evaluation, target_test=wrong_test),
        _open_target=lambda: wrong_known,
    )
    clean, wrong = evaluate_alone(pair), evaluate_alone(poisoned)
    assert clean.scores["target_accuracy"] != wrong.scores["target_accuracy"]
    assert clean.scores["target_validation_accuracy"] != wrong.scores["target_validation_accuracy"]
    assert clean.scores["source_accuracy"] == wrong.scores["source_accuracy"]
    for name in clean.seen.keys() - set(KNOW_TARGET_LABELS):
        np.testing.assert_array_equal(clean.seen[name], wrong.seen[name])
    for name in KNOW_TARGET_LABELS:
        assert (clean.seen[name] != wrong.seen[name]).any()


def test_features_are_of_the_samples_whose_logits_stand_beside_them(monkeypatch):
    """Rows are in the order of the places, whatever the batches; the three groups share one projection."""
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 7)
    pair = image_pair()
    program = Alone(on_images(), pair, CPU)
    [found] = program.evaluate()
    samples, networks = Samples(pair, (pair.source.mean() + pair.target.mean()) / 2), program.member(0).eval()

    def features(split, places=slice(None)) -> np.ndarray:
        with torch.no_grad():
            inputs = split.inputs.permute(0, 3, 1, 2) / 255 - samples.mean[:, None, None]
            return networks.predict(inputs)[0][places].numpy()

    expected = project(
        np.concatenate(
            [
                features(samples.training),
                features(samples.unlabelled),
                features(samples.source_test, samples.held_out),
            ]
        )
    )
    kept = np.concatenate([found.seen[f"{which}_features"] for which in ("training", "target", "source")])
    np.testing.assert_allclose(distances(kept), distances(expected), rtol=2e-3, atol=2e-3)
    tested = np.concatenate(
        [
            features(samples.source_test, samples.tested[0]),
            features(samples.target_test, samples.tested[1]),
        ]
    )
    np.testing.assert_allclose(distances(found.seen["features"]), distances(project(tested)), rtol=2e-3, atol=2e-3)


def test_mixed_inputs_are_mixed_of_the_rows_of_the_kept_logits():
    pair = image_pair()
    samples = Samples(pair, pair.source.mean())
    first, second = samples.unlabelled.inputs[:24].double(), samples.unlabelled.inputs[24:].double()
    assert (samples.mixed.inputs.double() - (0.55 * first + 0.45 * second)).abs().max() <= 0.5 + 1e-5
    few = feature_pair(5, count=7)
    mixed = mix(few.source)
    torch.testing.assert_close(mixed.inputs, 0.55 * few.source.inputs[:4] + 0.45 * few.source.inputs[3:])


def test_cosines_of_the_classes_are_of_the_last_layer():
    program = Alone(on_images(), image_pair(), CPU)
    [found] = program.evaluate()
    weights = program.member(0).label_predictor[-1].weight.detach().double().numpy()  # type: ignore[union-attr]
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    np.testing.assert_allclose(found.seen["class_cosines"], weights @ weights.T, atol=1e-3)


def test_shown_samples_can_be_found_again():
    pair = image_pair(shape=(28, 28, 3))
    seen, test = evaluate_alone(pair).seen, pair.evaluation.target_test
    np.testing.assert_array_equal(test.inputs[seen["shown_places"]], seen["shown_images"])
    np.testing.assert_array_equal(test.labels[seen["shown_places"]], seen["shown_labels"])
    [of_features] = Alone(on_images(pair="features", network=MLP()), feature_pair(50), CPU).evaluate()
    assert "shown_images" not in of_features.seen


def test_evaluation_changes_nothing_and_hands_back_training_mode():
    program = Alone(on_images(), image_pair(), CPU)
    networks = program.member(0)
    before = {name: value.clone() for name, value in networks.state_dict().items()}
    random = torch.get_rng_state()
    [first], [second] = program.evaluate(), program.evaluate()
    assert first.scores == second.scores
    assert networks.training
    assert torch.equal(random, torch.get_rng_state())
    for name, value in networks.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_training_mode_comes_back_after_an_evaluation_that_fails(monkeypatch):
    program = Alone(on_images(), image_pair(), CPU)
    monkeypatch.setattr("experiments.training.alone.evaluate", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        program.evaluate()
    assert program.member(0).training


def test_a_crop_is_evaluated_in_its_middle():
    pair = image_pair(shape=(36, 34, 3))
    samples = Samples(pair, pair.source.mean(), crop=28)
    [batch] = list(samples.batches(samples.target_test))
    expected = pair.evaluation.target_test.inputs[:, 4:32, 3:31].permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(batch.inputs + pair.source.mean()[:, None, None], expected)


# The features that are kept


def distances(points):
    points = points.astype(np.float64)
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def test_projection_keeps_distances():
    random = np.random.default_rng(0)
    features = (random.normal(size=(50, 20)) @ random.normal(size=(20, 100)) + 7).astype(np.float32)
    projected = project(features)
    assert projected.shape == (50, 32)
    assert projected.dtype == np.float16
    np.testing.assert_allclose(distances(projected), distances(features), rtol=2e-3, atol=0.1)
    assert project(features[:, :5]).shape == (50, 5)
    assert project(features[:3]).shape == (3, 3)


@pytest.mark.parametrize("size", [1e5, 1e30])
def test_large_features_stay_finite(size):
    """float16 ends at 65,504; a probe and a figure ask for no scale."""
    features = (size * np.random.default_rng(0).normal(size=(50, 20))).astype(np.float32)
    projected = project(features)
    assert np.isfinite(projected).all()
    ratios = distances(projected)[0, 1:] / distances(features)[0, 1:]
    np.testing.assert_allclose(ratios, ratios[0], rtol=2e-3)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_kept_as_nan(wrong):
    features = np.ones((4, 3), np.float32)
    features[2, 1] = wrong
    assert np.isnan(project(features)).all()
    assert project(features).shape == (4, 3)


def test_equal_features_are_no_error():
    assert not project(np.ones((6, 4), np.float32)).any()
