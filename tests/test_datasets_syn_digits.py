from pathlib import Path

import numpy as np
import pytest

from datasets.batches.streams import random_bits
from datasets.domains import DOMAINS
from datasets.domains.blend import read_samples
from datasets.domains.digits import build_digits
from datasets.domains.syn_digits import render_digits, render_splits
from datasets.domains.syn_numbers import blur_images, draw_masters, draw_numbers, paint_ink


def test_image_i_depends_on_i_alone():
    few, many = render_digits(5, "x"), render_digits(300, "x")
    np.testing.assert_array_equal(few[0], many[0][:5])
    np.testing.assert_array_equal(few[1], many[1][:5])


def test_a_digit_is_inside_and_bright_enough():
    images, labels = render_digits(500, "x")
    assert images.shape == (500, 28, 28, 1)
    assert np.bincount(labels, minlength=10).min() > 25
    peaks = images.max((1, 2, 3))
    assert peaks.min() >= 120
    assert peaks.max() == 255
    border = np.concatenate([images[:, [0, -1]].reshape(500, -1), images[:, :, [0, -1]].reshape(500, -1)], 1)
    assert (border > 128).any(1).mean() < 0.1  # few touch the border, at 3 pixels from the centre and 22 high


def test_splits_and_twins_share_no_image():
    names = ("syn_digits train", "syn_digits test", "syn_digits_m train", "syn_digits_m test")
    images = [image.tobytes() for name in names for image in render_digits(300, name)[0]]
    assert len(set(images)) == len(images)


def test_numbers_are_varied_and_depend_on_their_bits_alone():
    masters, bits = draw_masters(), random_bits(0, "n", 60, 22)
    images, labels = draw_numbers(masters, bits)
    again, _ = draw_numbers(masters, bits[30:40])
    np.testing.assert_array_equal(images[30:40], again)
    assert images.shape == (60, 32, 32, 3)
    assert set(labels.tolist()) == set(range(10))


def test_ink_differs_from_its_background():
    bits = random_bits(0, "c", 200, 10)
    ink = np.zeros((200, 32, 32), np.uint8)
    ink[:, 12:20, 12:20] = 255
    plain = paint_ink(np.zeros_like(ink), bits).astype(int)
    inked = paint_ink(ink, bits).astype(int)
    assert np.abs(plain - inked)[:, 15, 15].max(1).min() >= 40


def test_blur_is_the_mean_of_nine():
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    blurred = blur_images(images, np.array([0, 1, 2]))
    np.testing.assert_array_equal(blurred[0], images[0])
    expected = images[1, 9:12, 4:7].reshape(9, 3).astype(int).sum(0) // 9
    np.testing.assert_array_equal(blurred[1, 10, 5], expected)
    assert blurred[2].std() < blurred[1].std()


@pytest.mark.parametrize("split", ["train", "test"])
def test_numbers_of_both_splits_differ(split):
    images, _ = draw_numbers(draw_masters(), random_bits(0, f"syn_numbers {split}", 20, 22))
    others, _ = draw_numbers(draw_masters(), random_bits(0, "syn_numbers other", 20, 22))
    assert not np.array_equal(images, others)


@pytest.mark.parametrize(("name", "copies"), [("digits_m", 10), ("syn_digits_m", 1)])
def test_a_twin_shows_photographs_and_their_negatives_alone(name, copies):
    """Image by image, crop and digit are found again: every pixel is the photograph's or its negative."""
    arrays = DOMAINS[name].build(Path())
    plain = {"digits_m": build_digits, "syn_digits_m": lambda root: render_splits("syn_digits_m")}[name](Path())
    np.testing.assert_array_equal(arrays["train_labels"], plain["train_labels"].repeat(copies))
    above = {"digits_m": 127, "syn_digits_m": 0}[name]
    photographs = read_samples()
    for i in (0, 1, 1234):
        image, ink = arrays["train_inputs"][i], plain["train_inputs"][i // copies] > above
        paper = np.where(ink, 255 - image, image)
        found = [np.argwhere((windows(photograph, 28) == paper[0, :, 0]).all(-1)) for photograph in photographs]
        crops = [
            photograph[y : y + 28, x : x + 28]
            for photograph, places in zip(photographs, found, strict=True)
            for y, x in places
            if y <= photograph.shape[0] - 28
        ]
        assert any(np.array_equal(crop, paper) for crop in crops)


def windows(photograph, size):
    return np.lib.stride_tricks.sliding_window_view(photograph[..., 0], size, axis=1)
