import numpy as np
import pytest
import torch

from datasets import Labelled, Unlabelled
from datasets.batches.splits import mean_of, standard_deviation_of


def test_unlabelled_has_no_place_for_labels():
    split = Unlabelled(name="x", inputs=torch.zeros(3, 2))
    assert not hasattr(split, "labels")
    with pytest.raises(AttributeError):
        object.__setattr__(split, "labels", torch.zeros(3))  # slots: not even by force
    with pytest.raises(TypeError):
        Unlabelled(name="x", inputs=torch.zeros(3, 2), labels=torch.zeros(3))


def test_mean_of_images_is_per_channel_in_unit_range():
    images = np.random.default_rng(0).integers(0, 256, (700, 5, 4, 3), np.uint8)
    split = Labelled(name="x", inputs=torch.from_numpy(images), labels=torch.zeros(700, dtype=torch.int64))
    np.testing.assert_array_equal(split.mean().numpy(), (images.mean((0, 1, 2)) / 255).astype(np.float32))
    np.testing.assert_allclose(
        standard_deviation_of(split.inputs).numpy(), images.std((0, 1, 2)) / 255, rtol=1e-6, atol=0
    )


def test_mean_of_white_is_exact():
    assert mean_of(torch.full((3000, 28, 28, 1), 255, dtype=torch.uint8)).tolist() == [1.0]


def test_mean_does_not_depend_on_threads():
    images = torch.randint(0, 256, (2000, 9, 9, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    try:
        means = []
        for count in (1, 2):
            torch.set_num_threads(count)
            means.append(mean_of(images).tolist())
    finally:
        torch.set_num_threads(threads)
    assert means[0] == means[1]


def test_mean_of_features_is_per_feature():
    features = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    assert mean_of(features).tolist() == [2.0, 4.0]
    assert standard_deviation_of(features).tolist() == [1.0, 2.0]
