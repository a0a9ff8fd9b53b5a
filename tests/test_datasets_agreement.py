import numpy as np
import pytest

from datasets import DatasetError, add_domain, load_pair, pair_fingerprint
from datasets.files.preparation import prepared_path
from datasets.files.prepared import open_prepared


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))
    monkeypatch.setenv("GRL_DATA", str(tmp_path / "data"))


def add(folder, name, seed, **changes):
    random = np.random.default_rng(seed)
    arrays = {"inputs": random.integers(0, 256, (6, 4, 4, 1), np.uint8), "labels": np.arange(6) % 2}
    np.savez(folder / f"{name}.npz", **arrays | changes)
    return add_domain(name, folder / f"{name}.npz")


def test_it_is_the_fingerprint_of_the_loaded_pair(tmp_path):
    add(tmp_path, "first", 1)
    add(tmp_path, "second", 2, inputs=np.zeros((6, 5, 5, 3), np.uint8))
    assert pair_fingerprint("first_to_second") == load_pair("first_to_second").fingerprint
    assert pair_fingerprint("moons") is None
    assert not prepared_path("moons").exists()  # nothing is prepared for the asking
    loaded = load_pair("moons").fingerprint
    assert pair_fingerprint("moons") == loaded


@pytest.mark.parametrize("side", ["first", "second"])
@pytest.mark.parametrize("change", ["nothing", "inputs", "labels", "test"])
def test_a_domain_added_again_under_its_name_is_told_from_before(tmp_path, side, change):
    for name in ("first", "second"):
        add(tmp_path, name, 1)
    before = pair_fingerprint("first_to_second")
    changes = {
        "inputs": {"inputs": np.full((6, 4, 4, 1), 7, np.uint8)},
        "labels": {"labels": 1 - np.arange(6) % 2},
        "nothing": {},
        "test": {"test_inputs": np.zeros((2, 4, 4, 1), np.uint8), "test_labels": [0, 1]},
    }[change]
    add(tmp_path, side, 1, **changes)
    assert (pair_fingerprint("first_to_second") == before) == (change == "nothing")


def test_no_sample_is_read(tmp_path):
    """Its digest comes from the header: samples overwritten in place do not change it, so nothing touched them."""
    add(tmp_path, "first", 1)
    add(tmp_path, "second", 2)
    before = pair_fingerprint("first_to_second")
    path = prepared_path("first")
    content = bytearray(path.read_bytes())
    start = content.index(open_prepared(path).arrays["train_inputs"].tobytes())
    content[start : start + 50] = bytes(50)
    path.write_bytes(content)
    assert pair_fingerprint("first_to_second") == before


def test_what_does_not_fit_is_said(tmp_path):
    add(tmp_path, "first", 1)
    with pytest.raises(DatasetError, match="classes differ, first has 0, 1; digits has 0, 1, 2"):
        pair_fingerprint("first_to_digits")
    with pytest.raises(DatasetError, match="pair 'nothing' is unknown"):
        pair_fingerprint("nothing")
