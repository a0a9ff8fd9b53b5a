import numpy as np
import pytest

from datasets.show import draw_sheet


@pytest.mark.parametrize("channels", [1, 3])
def test_one_row_per_class(channels):
    labels = np.repeat(np.arange(3), 20)
    inputs = np.broadcast_to((labels * 50 + 20).astype(np.uint8)[:, None, None, None], (60, 8, 8, channels))
    sheet = np.asarray(draw_sheet(inputs, labels, 3))
    assert sheet.shape == (3 * 64, 16 * 64, 3)
    assert [sheet[64 * row + 5, 100, 0] for row in range(3)] == [20, 70, 120]


def test_large_images_are_shrunk():
    assert draw_sheet(np.zeros((4, 256, 256, 3), np.uint8), np.array([0, 0, 1, 1]), 2).size == (16 * 128, 2 * 128)


def test_points_are_a_scatter_and_other_features_a_map():
    labels = np.arange(50) % 2
    points = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    assert draw_sheet(points, labels, 2).size == (480, 480)
    features = np.random.default_rng(0).poisson(1, (50, 700)).astype(np.float32)
    assert draw_sheet(features, labels, 2).size == (512, 32)
    assert draw_sheet(np.zeros((50, 9), np.float32), labels, 2).size == (9, 32)


def test_every_point_stays_on_the_sheet():
    points = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    sheet = np.asarray(draw_sheet(points, np.zeros(4, np.int64), 1))
    assert ((sheet != 255).any(2)).sum() == 4 * 16
