import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from datasets.domains.glyphs import CANVAS, FACES, draw_masters, place_glyphs


@pytest.fixture(scope="module")
def masters():
    return draw_masters()


def place(masters, degrees=0, height=35 * 16, shift=(0, 0), size=CANVAS, glyph=0):
    arrays = (np.array([glyph]), np.array([degrees]), np.array([height]), np.array([shift]))
    return place_glyphs(masters.reshape(-1, CANVAS, CANVAS), *arrays, size)[0]


def test_every_face_draws_ten_different_digits(masters):
    assert masters.shape == (len(FACES), 10, CANVAS, CANVAS)
    assert len({master.tobytes() for master in masters.reshape(-1, CANVAS, CANVAS)}) == len(FACES) * 10


def test_ink_is_whole_and_centred(masters):
    for master in masters.reshape(-1, CANVAS, CANVAS):
        rows, columns = np.nonzero(master.max(1))[0], np.nonzero(master.max(0))[0]
        for places in (rows, columns):
            assert places[0] > 0
            assert places[-1] < CANVAS - 1
            assert abs(places[0] + places[-1] - (CANVAS - 1)) <= 1


@pytest.mark.parametrize(("degrees", "height", "shift"), [(0, 560, (0, 0)), (20, 320, (16, -24)), (-45, 224, (0, 40))])
def test_agrees_with_floating_point(masters, degrees, height, shift):
    """The same inverse map in float64 through SciPy's bilinear sampling, four samples per pixel."""
    size, scale, angle = 28, 35 * 16 / height, np.radians(degrees)
    grid = (np.arange(2 * size) + 0.5) / 2 - size / 2
    down, right = np.meshgrid(grid - shift[0] / 16, grid - shift[1] / 16, indexing="ij")
    y = scale * (np.cos(angle) * down - np.sin(angle) * right) + CANVAS / 2 - 0.5
    x = scale * (np.sin(angle) * down + np.cos(angle) * right) + CANVAS / 2 - 0.5
    samples = map_coordinates(masters[0, 5].astype(float), [y, x], order=1)
    expected = samples.reshape(size, 2, size, 2).mean((1, 3))
    found = place(masters, degrees, height, shift, size, glyph=5)
    assert np.abs(found - expected).max() < 3
    assert np.abs(found - expected).mean() < 0.3


def test_shift_moves_by_whole_pixels(masters):
    centred = place(masters, height=320, size=40)
    moved = place(masters, height=320, shift=(3 * 16, -2 * 16), size=40)
    np.testing.assert_array_equal(moved[3:, :-2], centred[:-3, 2:])


def test_positive_angle_turns_one_way(masters):
    """A turned square glyph is the turned picture: 45 and -45 degrees mirror each other for a symmetric master."""
    disc = np.zeros((1, CANVAS, CANVAS), np.uint8)
    disc[0, 28:36, 16:48] = 255  # a bar that is its own mirror image
    up, down = (place(disc, degrees, size=CANVAS) for degrees in (45, -45))
    assert not np.array_equal(up, down)
    assert np.abs(up.astype(int) - down[:, ::-1]).max() <= 2
