import os

import numpy as np
import pytest
from scipy.io import savemat

from datasets import DatasetError
from datasets.domains.svhn import build_svhn

REAL = os.environ.get("GRL_DATA")


@pytest.fixture(autouse=True)
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))


def test_svhn_is_verified_by_torchvision(tmp_path):
    (tmp_path / "train_32x32.mat").write_bytes(b"wrong")
    with pytest.raises(DatasetError, match=r"train_32x32\.mat cannot be read: .*corrupted"):
        build_svhn(tmp_path)


def test_svhn_counts_its_tens_as_zero_and_keeps_the_channels_last(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.SVHN._check_integrity", lambda self: True)
    for split in ("train", "test"):
        images = np.zeros((32, 32, 3, 4), np.uint8)
        images[5, 7, 2] = [1, 2, 3, 4]
        savemat(tmp_path / f"{split}_32x32.mat", {"X": images, "y": np.array([[10], [1], [2], [9]])})
    arrays = build_svhn(tmp_path)
    assert arrays["train_inputs"].shape == (4, 32, 32, 3)
    assert arrays["train_inputs"][:, 5, 7, 2].tolist() == [1, 2, 3, 4]
    assert arrays["test_labels"].tolist() == [0, 1, 2, 9]
