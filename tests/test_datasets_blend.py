import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datasets.domains.blend import binarise, blend_digits

RANDOM = np.random.default_rng(0)
PHOTOGRAPHS = [RANDOM.integers(0, 256, (height, width, 3), np.uint8) for height, width in ((8, 9), (6, 20), (5, 5))]
DIGITS = RANDOM.integers(0, 256, (40, 5, 5, 1), np.uint8)


def test_every_image_is_a_difference_from_some_crop():
    blended = blend_digits(DIGITS, PHOTOGRAPHS, 0, "s")
    crops = [
        photograph[y : y + 5, x : x + 5].astype(int)
        for photograph in PHOTOGRAPHS
        for y in range(photograph.shape[0] - 4)
        for x in range(photograph.shape[1] - 4)
    ]
    for digit, image in zip(DIGITS, blended, strict=True):
        assert any(np.array_equal(np.abs(crop - digit.astype(int)), image) for crop in crops)


def test_binarised():
    shades = np.array([0, 1, 127, 128, 255], np.uint8)
    assert binarise(shades).tolist() == [0, 255, 255, 255, 255]
    assert binarise(shades, above=127).tolist() == [0, 0, 0, 255, 255]


def test_black_paper_shows_the_photograph_and_white_ink_its_negative():
    black, white = np.zeros((1, 5, 5, 1), np.uint8), np.full((1, 5, 5, 1), 255, np.uint8)
    np.testing.assert_array_equal(
        blend_digits(black, PHOTOGRAPHS, 1, "s"), 255 - blend_digits(white, PHOTOGRAPHS, 1, "s")
    )


@given(st.integers(0, 40))
def test_image_i_depends_on_i_alone(count):
    np.testing.assert_array_equal(
        blend_digits(DIGITS[:count], PHOTOGRAPHS, 0, "s"), blend_digits(DIGITS, PHOTOGRAPHS, 0, "s")[:count]
    )


def test_another_stream_gives_other_crops():
    base = blend_digits(DIGITS, PHOTOGRAPHS, 0, "s")
    assert not np.array_equal(base, blend_digits(DIGITS, PHOTOGRAPHS, 1, "s"))
    assert not np.array_equal(base, blend_digits(DIGITS, PHOTOGRAPHS, 0, "t"))


def test_every_crop_of_a_photograph_can_occur():
    many = blend_digits(np.zeros((2000, 5, 5, 1), np.uint8), [PHOTOGRAPHS[0]], 0, "s")
    assert len({image.tobytes() for image in many}) == 4 * 5
