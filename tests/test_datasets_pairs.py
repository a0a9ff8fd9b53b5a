import gc
import os

import numpy as np
import pytest
import torch

from datasets import DatasetError, DomainPair, Labelled, Unlabelled, add_domain, hold_out, load_pair
from datasets.conversions import agree_on_shape
from datasets.domains import PAIRS, find_domain
from datasets.domains.base import PairEntry

REAL = os.environ.get("GRL_DATA")


@pytest.fixture(scope="module", autouse=True)
def prepared(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRL_PREPARED", str(tmp_path_factory.mktemp("prepared")))
        patch.setenv("GRL_DATA", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="module")
def moons():
    return load_pair("moons")


def add_npz(folder, name, classes, shape=(4, 4, 1), count=12, tests=0, seed=0):
    random = np.random.default_rng(seed)
    arrays = {
        "inputs": random.integers(0, 256, (count, *shape), np.uint8),
        "labels": np.arange(count) % len(classes),
        "class_names": np.array(classes),
    }
    if tests:
        arrays |= {"test_inputs": arrays["inputs"][:tests], "test_labels": arrays["labels"][:tests]}
    np.savez(folder / f"{name}.npz", **arrays)
    return add_domain(name, folder / f"{name}.npz")


def test_what_a_pair_says(moons):
    assert isinstance(moons, DomainPair)
    assert (moons.id, moons.title) == ("moons", "Moons → Moons rotated by 35°")
    assert moons.class_names == ("upper", "lower")
    assert moons.shape == (2,)
    assert moons.protocol.startswith("inductive: ")
    assert len(moons.fingerprint) == 64
    assert isinstance(moons.source, Labelled)
    assert len(moons.source) == len(moons.target) == 300
    assert len(moons.evaluation.source_test) == len(moons.evaluation.target_test) == 1000


def test_target_labels_are_out_of_reach(moons):
    """Whatever hangs on the target, followed through the garbage collector's references, holds no labels."""
    assert isinstance(moons.target, Unlabelled)
    assert not hasattr(moons.target, "labels")
    seen, todo = set(), [moons.target]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type):
            continue
        seen.add(id(thing))
        assert not isinstance(thing, Labelled)
        assert not (isinstance(thing, torch.Tensor) and thing.dtype == torch.int64)
        if isinstance(thing, (Unlabelled, torch.Tensor)):
            todo += gc.get_referents(thing)


@pytest.mark.parametrize("reader", ["target_only", "oracle"])
def test_named_readers_may_see_target_labels(moons, reader):
    revealed = moons.reveal_target_labels(reader)
    assert isinstance(revealed, Labelled)
    assert torch.equal(revealed.inputs, moons.target.inputs)


@pytest.mark.parametrize("reader", ["dann", "", "Oracle", None])
def test_nobody_else_may(moons, reader):
    with pytest.raises(
        DatasetError, match=f"reader of target labels must be one of target_only, oracle, got {reader!r}"
    ):
        moons.reveal_target_labels(reader)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnist_to_mnistm", "domain 'mnistm' is unknown, did you mean 'mnist_m'"),
        ("moon", "pair 'moon' is unknown, did you mean 'moons'"),
        ("mnist_to_uspss", "domain 'uspss' is unknown, did you mean 'usps'"),
        ("a_to_b", "pair 'a_to_b' is unknown"),
        ("", "pair '' is unknown"),
        ("moons_to_moons", "pair 'moons_to_moons' must have no domain as source and target at once, got 'moons'"),
        ("moons_rotated+moons_to_moons", "must have no domain as source and target at once, got 'moons'"),
        ("moons_to_moons_rotated+moons", "must have no domain as source and target at once, got 'moons'"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(DatasetError, match=message):
        load_pair(name)


def test_a_named_pair_has_no_domain_on_both_sides_either():
    with pytest.raises(DatasetError, match="pair 'same' must have no domain as source and target at once, got 'moons'"):
        PairEntry(name="same", source="moons", target="moons_rotated+moons")


@pytest.mark.parametrize("share", [-0.1, 1.0, 2, True, float("nan"), float("inf"), "0.1", None])
def test_a_share_out_of_range_is_not_held_out(moons, share):
    with pytest.raises(DatasetError, match=rf"share must be a number in \[0, 1\), got {share!r}"):
        hold_out(moons, share)


def test_holding_out_leaves_samples_on_both_sides(moons):
    held = hold_out(moons, 1e-9)
    assert len(held.evaluation.source_validation) == len(held.evaluation.target_validation) == 1
    with pytest.raises(
        DatasetError, match=r"share must leave a sample of 'moons train' to train on, got 0.9999 of 300"
    ):
        hold_out(moons, 0.9999)


def test_missing_files_name_the_command():
    with pytest.raises(DatasetError, match=r"mnist needs MNIST/raw/.* fetch it with: python -m datasets prepare mnist"):
        load_pair("mnist_to_mnist_m")


def test_every_published_pair_fits():
    for name, entry in PAIRS.items():
        [source], [target] = (map(find_domain, side) for side in entry.sides)
        assert source.class_names == target.class_names, name
        agree_on_shape(source, target)


def test_conversion_and_transductive_protocol(tmp_path):
    add_npz(tmp_path, "grey", ["a", "b"])
    add_npz(tmp_path, "colour", ["a", "b"], (6, 6, 3))
    pair = load_pair("grey_to_colour")
    assert pair.shape == (6, 6, 3)
    assert pair.source.inputs.shape == (12, 6, 6, 3)
    assert pair.conversions == ("grey: 4 × 4 → 6 × 6 pixels, bilinear", "grey: grey → 3 equal channels")
    assert pair.protocol == (
        "transductive: all source samples with labels, all target samples without labels, "
        "accuracy on the same target samples"
    )
    assert torch.equal(pair.evaluation.target_test.inputs, pair.target.inputs)


def test_classes_must_agree_or_be_chosen(tmp_path):
    add_npz(tmp_path, "left", ["cat", "dog", "owl"])
    add_npz(tmp_path, "right", ["ant", "cat", "dog"])
    with pytest.raises(
        DatasetError, match=r"classes differ, left has cat, dog, owl; right has ant, cat, dog; .*: cat, dog"
    ):
        load_pair("left_to_right")
    pair = load_pair("left_to_right", class_names=("dog", "cat"))
    assert pair.class_names == ("dog", "cat")
    assert pair.source.labels.tolist() == [1, 0] * 4
    revealed = pair.reveal_target_labels("oracle")
    assert revealed.labels.tolist() == [1, 0] * 4
    assert len(pair.target) == 8
    assert "right: only the classes dog, cat" in pair.conversions
    with pytest.raises(DatasetError, match=r"class_names must be different classes of both \(cat, dog\), got owl"):
        load_pair("left_to_right", class_names=("owl",))


def test_fingerprint_follows_contents(tmp_path):
    add_npz(tmp_path, "first", ["a", "b"], seed=1)
    add_npz(tmp_path, "second", ["a", "b"], seed=2)
    before = load_pair("first_to_second").fingerprint
    assert before == load_pair("first_to_second").fingerprint
    assert before != load_pair("second_to_first").fingerprint
    add_npz(tmp_path, "second", ["a", "b"], seed=3)
    assert before != load_pair("first_to_second").fingerprint


def test_image_and_features_do_not_fit(tmp_path):
    add_npz(tmp_path, "pictures", ["upper", "lower"])
    with pytest.raises(DatasetError, match="shapes do not fit"):
        load_pair("pictures_to_moons")


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
def test_partial_data_is_said_in_the_protocol():
    pair = load_pair("syn_signs_to_gtsrb", root=REAL)
    if len(pair.source) < 90_000:
        assert "PARTIAL syn_signs: " in pair.protocol
        assert "PARTIAL gtsrb: " in pair.protocol
    assert len(pair.class_names) == 43


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
def test_mnist_to_usps_on_real_files():
    pair = load_pair("mnist_to_usps", root=REAL)
    assert pair.target.inputs.shape == (7291, 28, 28, 1)
    assert pair.conversions == ("usps: 16 × 16 → 28 × 28 pixels, bilinear",)
    assert len(pair.evaluation.target_test) == 2007
