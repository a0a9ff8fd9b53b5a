import os

import numpy as np
import pytest

from datasets import DatasetError
from datasets.domains import DOMAINS
from datasets.domains.preparing import prepare_domain
from datasets.domains.usps import build_usps

REAL = os.environ.get("GRL_DATA")


@pytest.fixture(autouse=True)
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))


def test_damaged_usps(tmp_path):
    (tmp_path / "usps.bz2").write_bytes(b"BZh9 damaged")
    with pytest.raises(DatasetError, match=r"usps\.bz2 cannot be read"):
        build_usps(tmp_path)


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
def test_real_usps():
    arrays = prepare_domain(DOMAINS["usps"]).arrays
    assert np.bincount(arrays["train_labels"]).tolist() == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert np.bincount(arrays["test_labels"]).tolist() == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]
