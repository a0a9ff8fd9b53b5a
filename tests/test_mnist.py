import os
import struct

import numpy as np
import pytest
from scipy.io import savemat

from datasets import DatasetError
from datasets.catalogue import DOMAINS
from datasets.digests import DIGESTS
from datasets.mnist import build_mnist, build_svhn, build_usps
from datasets.preparation import prepare_domain
from datasets.prepared import digest_of

REAL = os.environ.get("GRL_DATA")


def write_mnist(root, train=30, test=10):
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for prefix, count in (("train", train), ("t10k", test)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
        header = struct.pack(">iiii", 0x803, count, 28, 28)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 0x801, count) + labels.tobytes())
    return root


@pytest.fixture(autouse=True)
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))


def test_reads_the_files_as_they_lie(tmp_path):
    arrays = build_mnist(write_mnist(tmp_path))
    assert arrays["train_inputs"].shape == (30, 28, 28, 1)
    assert arrays["test_labels"].tolist() == list(range(10))


def test_truncated(tmp_path):
    path = write_mnist(tmp_path) / "MNIST/raw/train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match="MNIST/raw cannot be read"):
        build_mnist(tmp_path)


def test_not_such_a_file(tmp_path):
    (write_mnist(tmp_path) / "MNIST/raw/t10k-labels-idx1-ubyte").write_bytes(b"<html>moved</html>")
    with pytest.raises(DatasetError, match="MNIST/raw cannot be read"):
        build_mnist(tmp_path)


def test_swapped_or_incomplete_files(tmp_path):
    with pytest.raises(DatasetError, match="mnist train: 30 samples, expected 60000; a file is missing or swapped"):
        prepare_domain(DOMAINS["mnist"], write_mnist(tmp_path))


def test_labels_of_the_other_split(tmp_path):
    folder = write_mnist(tmp_path) / "MNIST/raw"
    (folder / "t10k-labels-idx1-ubyte").replace(folder / "train-labels-idx1-ubyte")
    (folder / "t10k-labels-idx1-ubyte").write_bytes((folder / "train-labels-idx1-ubyte").read_bytes())
    arrays = build_mnist(tmp_path)
    assert len(arrays["train_labels"]) != len(arrays["train_inputs"])  # which check_arrays refuses


def test_damaged_usps(tmp_path):
    (tmp_path / "usps.bz2").write_bytes(b"BZh9 damaged")
    with pytest.raises(DatasetError, match=r"usps\.bz2 cannot be read"):
        build_usps(tmp_path)


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


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
def test_real_mnist():
    prepared = prepare_domain(DOMAINS["mnist"])
    assert prepared.digest == DIGESTS["mnist"]
    assert digest_of(prepared.arrays) == DIGESTS["mnist"]
    assert np.bincount(prepared.arrays["test_labels"])[:2].tolist() == [980, 1135]


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
def test_real_usps():
    arrays = prepare_domain(DOMAINS["usps"]).arrays
    assert np.bincount(arrays["train_labels"]).tolist() == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert np.bincount(arrays["test_labels"]).tolist() == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]
