import numpy as np
import pytest

from datasets.domains import moons


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return moons.build_source(tmp_path_factory.mktemp("x")), moons.build_target(tmp_path_factory.mktemp("y"))


def test_half_of_the_points_on_each_moon(both):
    for arrays in both:
        assert np.bincount(arrays["train_labels"]).tolist() == [150, 150]
        assert np.bincount(arrays["test_labels"]).tolist() == [500, 500]


def test_source_is_centred_on_its_training_mean(both):
    assert np.abs(both[0]["train_inputs"].mean(0)).max() < 1e-6


def test_target_is_turned_by_35_degrees_around_the_origin(both):
    """The line from one moon's mean to the other's turns by 35 degrees, up to the noise of a fresh draw."""
    angles = []
    for arrays in both:
        upper, lower = (arrays["test_inputs"][arrays["test_labels"] == label].mean(0) for label in (0, 1))
        angles.append(np.degrees(np.arctan2(*(lower - upper)[::-1])))
    assert (angles[1] - angles[0]) % 360 == pytest.approx(35, abs=1)


def test_no_point_occurs_twice(both):
    points = np.concatenate([arrays[f"{split}_inputs"] for arrays in both for split in ("train", "test")])
    assert len(np.unique(points, axis=0)) == len(points)


def test_rounded_so_that_the_last_bit_of_a_cosine_does_not_matter(both):
    for arrays in both:
        assert (arrays["train_inputs"] * 65536 % 1 == 0).all()
