from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datasets import DatasetError
from datasets.conversions import Conversion, agree_on_shape
from datasets.domains import find_domain
from datasets.resize import bilinear_weights, resize_images


@given(st.integers(1, 40), st.integers(0, 40))
def test_weights_add_up(before, more):
    weights = bilinear_weights(before, before + more)
    assert (weights.sum(1) == 256).all()
    assert (weights >= 0).all()


def test_same_size_changes_nothing():
    images = np.random.default_rng(0).integers(0, 256, (3, 7, 9, 2), np.uint8)
    np.testing.assert_array_equal(resize_images(images, 7, 9), images)


@pytest.mark.parametrize(
    ("before", "after"), [((16, 16), (28, 28)), ((28, 28), (32, 32)), ((8, 8), (28, 28)), ((5, 7), (9, 8))]
)
def test_agrees_with_torch(before, after):
    images = np.random.default_rng(1).integers(0, 256, (20, *before, 3), np.uint8)
    ours = resize_images(images, *after)
    floats = torch.from_numpy(images).permute(0, 3, 1, 2).double()
    theirs = torch.nn.functional.interpolate(floats, after, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    # Weights are rounded to 1/256 on each axis: at most one level more than the rounding of the result.
    assert np.abs(ours - theirs.numpy()).max() < 1.75


def test_grey_becomes_equal_channels():
    convert = Conversion("mnist", (28, 28, 1), (28, 28, 3))
    images = np.random.default_rng(2).integers(0, 256, (4, 28, 28, 1), np.uint8)
    colour = convert(images)
    assert colour.shape == (4, 28, 28, 3)
    assert (colour == images).all()
    assert convert.steps == ("mnist: grey → 3 equal channels",)


def test_nothing_to_do_copies_nothing():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    convert = Conversion("x", (4, 4, 3), (4, 4, 3))
    assert convert(images) is images
    assert convert.steps == ()


def test_larger_size_and_colour_win():
    shape, (source, target) = agree_on_shape(find_domain("usps"), find_domain("svhn"))
    assert shape == (32, 32, 3)
    assert source.steps == ("usps: 16 × 16 → 32 × 32 pixels, bilinear", "usps: grey → 3 equal channels")
    assert target.steps == ()


@pytest.mark.parametrize("other", ["mnist", "amazon_books"])
def test_features_of_another_length(other):
    with pytest.raises(DatasetError, match="shapes do not fit: moons has \\(2,\\)"):
        agree_on_shape(find_domain("moons"), find_domain(other))


def test_three_and_four_channels_do_not_fit():
    three = find_domain("mnist_m")
    four = replace(three, name="transparent", shape=(28, 28, 4))
    with pytest.raises(DatasetError, match="channels do not fit: mnist_m has 3, transparent has 4; only grey"):
        agree_on_shape(three, four)
