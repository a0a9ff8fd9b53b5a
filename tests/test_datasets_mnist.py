import os
from pathlib import Path

import numpy as np
import pytest

from datasets import DatasetError
from datasets.domains import DOMAINS
from datasets.domains.mnist import build_mnist, build_mnist_32
from datasets.domains.preparing import prepare_domain
from datasets.files.prepared import digest_of
from tests.support.mnist_files import write_mnist

REAL = os.environ.get("GRL_DATA")


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


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
def test_real_mnist():
    prepared = prepare_domain(DOMAINS["mnist"])
    assert prepared.digest == DOMAINS["mnist"].digest
    assert digest_of(prepared.arrays) == DOMAINS["mnist"].digest
    assert np.bincount(prepared.arrays["test_labels"])[:2].tolist() == [980, 1135]


def test_padded_to_32(tmp_path):
    small, large = build_mnist(write_mnist(tmp_path)), build_mnist_32(tmp_path)
    np.testing.assert_array_equal(large["train_inputs"][:, 2:30, 2:30], small["train_inputs"])
    assert large["test_inputs"].astype(int).sum() == small["test_inputs"].astype(int).sum()  # the rim is black
    if REAL:
        assert digest_of(build_mnist_32(Path(REAL))) == DOMAINS["mnist_32"].digest
