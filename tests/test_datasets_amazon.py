import os

import numpy as np
import pytest

from datasets import DatasetError
from datasets.domains import DOMAINS
from datasets.domains.amazon import TESTS, build_amazon
from datasets.domains.preparing import prepare_domain
from datasets.files.folders import data_root
from datasets.files.originals import fetch

REAL = os.environ.get("GRL_DATA")


def write_reviews(root, text):
    folder = root / "amazon_reviews"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        (folder / f"books_{split}.svmlight").write_text(text)
    return root


def test_counts_and_signs(tmp_path):
    arrays = build_amazon(write_reviews(tmp_path, "1 0:6 4999:2\n-1 3:1\n"), "books")
    assert arrays["train_inputs"].shape == (2, 5000)
    assert arrays["train_inputs"][0, [0, 1, 4999]].tolist() == [6, 0, 2]
    assert arrays["train_labels"].tolist() == [1, 0]


def test_feature_beyond_the_vocabulary(tmp_path):
    with pytest.raises(DatasetError, match=r"books_train\.svmlight cannot be read: .*5001"):
        build_amazon(write_reviews(tmp_path, "1 5000:1\n"), "books")


def test_other_labels(tmp_path):
    with pytest.raises(DatasetError, match="labels must be -1 and 1, got 1, 5"):
        build_amazon(write_reviews(tmp_path, "1 0:1\n5 0:1\n"), "books")


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
@pytest.mark.parametrize("product", TESTS)
def test_real_reviews(product, tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path))
    prepared = prepare_domain(DOMAINS[f"amazon_{product}"])
    assert prepared.digest == DOMAINS[f"amazon_{product}"].digest
    positive = {"books": 2264, "dvd": 1807, "electronics": 2857, "kitchen": 2954}[product]
    assert prepared.arrays["test_labels"].sum() == positive
    assert prepared.arrays["train_labels"].sum() == 1000
    assert prepared.arrays["train_inputs"].max() <= 84
    assert (prepared.arrays["train_inputs"] % 1 == 0).all()


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
def test_real_files_have_the_published_checksums():
    import hashlib

    for product in TESTS:
        for original in DOMAINS[f"amazon_{product}"].originals:
            content = fetch(original, data_root()).read_bytes()
            assert original.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_pinned_addresses():
    urls = [url for original in DOMAINS["amazon_dvd"].originals for url in original.urls]
    assert all(url.startswith("https://raw.githubusercontent.com/GRAAL-Research/") for url in urls)
    assert np.unique(urls).size == 2
