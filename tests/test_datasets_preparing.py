import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets import DatasetError
from datasets.domains.base import Domain
from datasets.domains.preparing import prepare_domain
from datasets.files.originals import Original
from datasets.files.preparation import prepared_path


def build_small(root):
    """Ten grey images.

    Source: this test
    Licence: none
    Citation: none
    """
    return {
        "train_inputs": np.arange(90, dtype=np.uint8).reshape(10, 3, 3, 1),
        "train_labels": np.arange(10) % 2,
    }


SMALL = Domain(name="small", title="Small", class_names=("a", "b"), shape=(3, 3, 1), counts=(10, 0), build=build_small)


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))
    monkeypatch.setenv("GRL_DATA", str(tmp_path / "data"))


def files():
    folder = prepared_path(SMALL.name).parent
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock")) if folder.exists() else []


def test_made_once_then_opened():
    calls = []

    def build(root):
        calls.append(root)
        return build_small(root)

    domain = replace(SMALL, build=build)
    first, second = prepare_domain(domain), prepare_domain(domain)
    assert len(calls) == 1
    assert first.digest == second.digest
    np.testing.assert_array_equal(second.arrays["train_inputs"], build_small(None)["train_inputs"])
    prepare_domain(domain, again=True)
    assert len(calls) == 2


def test_a_newer_version_is_made_again():
    prepare_domain(SMALL)
    newer = replace(SMALL, version=2, build=lambda root: build_small(root) | {"train_labels": 1 - np.arange(10) % 2})
    assert prepare_domain(newer).arrays["train_labels"][0] == 1


def test_a_missing_file_is_named_with_the_place_and_the_command(tmp_path):
    domain = replace(SMALL, originals=(Original(path="raw/images.bin", urls=("http://127.0.0.1:9/x",)),))
    with pytest.raises(DatasetError) as caught:
        prepare_domain(domain)
    assert str(caught.value) == (
        f"small needs raw/images.bin, which is not in {tmp_path / 'data'}; "
        "fetch it with: python -m datasets prepare small"
    )
    assert files() == []


@pytest.mark.parametrize("error", [DatasetError("bad"), KeyboardInterrupt(), MemoryError()])
def test_a_build_that_fails_leaves_nothing(error):
    def build(root):
        raise error

    with pytest.raises(type(error)):
        prepare_domain(replace(SMALL, build=build))
    assert files() == []
    prepare_domain(SMALL)  # the lock is free again


def test_digest_of_others_data_must_match():
    with pytest.raises(
        DatasetError, match=r"small: SHA-256 of the contents is [0-9a-f]{64}, expected 0{64}; a file is damaged"
    ):
        prepare_domain(replace(SMALL, digest="0" * 64))
    assert files() == []


def test_digest_of_own_generation_warns():
    with pytest.warns(UserWarning, match=r"small: SHA-256 .* expected 0{64}; the versions of Pillow"):
        prepare_domain(replace(SMALL, digest="0" * 64, generated=True))


def test_damaged_prepared_file_says_so():
    prepare_domain(SMALL)
    path = prepared_path(SMALL.name)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="delete it and prepare it again"):
        prepare_domain(SMALL)
    prepare_domain(SMALL, again=True)
    prepare_domain(SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_labels": np.arange(10)}, r"small train: labels must lie in 0 … 1, got 2 at sample 2"),
        ({"train_labels": -np.ones(10, np.int64)}, r"small train: labels must lie in 0 … 1, got -1 at sample 0"),
        ({"train_labels": np.zeros(10, np.int64)}, r"small: class 'b' has no training sample"),
        ({"train_labels": np.zeros(9, np.int64)}, r"small train: labels must be int64, one for each of 10 inputs"),
        ({"train_labels": np.zeros(10)}, r"small train: labels must be int64"),
        (
            {"train_inputs": np.zeros((10, 3, 3, 3), np.uint8)},
            r"inputs must be uint8 of shape \(N, 3, 3, 1\), got uint8",
        ),
        ({"train_inputs": np.zeros((10, 3, 3, 1))}, r"inputs must be uint8 of shape \(N, 3, 3, 1\), got float64"),
        ({"train_inputs": np.zeros((9, 3, 3, 1), np.uint8)}, r"9 samples, expected 10; a file is missing or swapped"),
    ],
)
def test_bad_arrays(change, message):
    with pytest.raises(DatasetError, match=message):
        prepare_domain(replace(SMALL, build=lambda root: build_small(root) | change))
    assert files() == []


@pytest.mark.parametrize(
    ("built", "message"),
    [
        (None, "small: build must return a dict of NumPy arrays, got NoneType"),
        ([1, 2], "small: build must return a dict of NumPy arrays, got list"),
        ({"train_inputs": [1], "train_labels": [0]}, "build must return a dict of NumPy arrays, got list, list"),
        ({"train_inputs": build_small(None)["train_inputs"]}, "train_inputs and train_labels must come together, got"),
        (build_small(None) | {"test_labels": np.zeros(1, np.int64)}, "test_inputs and test_labels must come together"),
        ({}, "small: there is no training sample"),
    ],
)
def test_a_build_that_returns_something_else(built, message):
    with pytest.raises(DatasetError, match=message):
        prepare_domain(replace(SMALL, build=lambda root: built))
    assert files() == []


def test_channels_come_last():
    arrays = {"train_inputs": np.zeros((10, 3, 8, 8), np.uint8), "train_labels": np.arange(10) % 2}
    with pytest.raises(DatasetError, match=r"small: images must be \(N, H, W, C\), got \(N, 3, 8, 8\)"):
        prepare_domain(replace(SMALL, shape=(3, 8, 8), build=lambda root: arrays))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_must_be_finite(value):
    inputs = np.zeros((10, 4), np.float32)
    inputs[7, 2] = value
    build = lambda root: {"train_inputs": inputs, "train_labels": np.arange(10) % 2}  # noqa: E731
    with pytest.raises(DatasetError, match="small train: inputs must be finite, sample 7 is not"):
        prepare_domain(replace(SMALL, shape=(4,), build=build))


def test_fewer_samples_only_where_a_part_is_accepted():
    build = lambda root: {key: array[:4] for key, array in build_small(root).items()}  # noqa: E731
    with pytest.raises(DatasetError, match="4 samples, expected 10"):
        prepare_domain(replace(SMALL, build=build))
    assert len(prepare_domain(replace(SMALL, build=build, partial=True)).arrays["train_labels"]) == 4


def prepare_slowly(folder, ready, counter):
    os.environ["GRL_PREPARED"] = folder  # the server that forks may have started with another environment

    def build(root):
        with counter.get_lock():
            counter.value += 1
        time.sleep(0.5)
        return build_small(root)

    ready.wait()
    prepare_domain(replace(SMALL, build=build))


def test_of_two_processes_one_works_and_the_other_waits():
    context = multiprocessing.get_context("forkserver")
    ready, counter = context.Barrier(2), context.Value("i", 0)
    processes = [
        context.Process(target=prepare_slowly, args=(os.environ["GRL_PREPARED"], ready, counter)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert counter.value == 1
    assert files() == ["small.grl"]


def prepare_until_killed(folder):
    os.environ["GRL_PREPARED"] = folder

    def build(root):
        path = prepared_path(SMALL.name)
        path.with_name(f".{path.name}.partial").write_bytes(b"half a file")
        os.kill(os.getpid(), signal.SIGKILL)

    prepare_domain(replace(SMALL, build=build))


def test_a_killed_process_leaves_neither_a_lock_nor_a_domain():
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=prepare_until_killed, args=(os.environ["GRL_PREPARED"],))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not prepared_path(SMALL.name).exists()
    prepare_domain(SMALL)
    assert files() == ["small.grl"]


def test_unwritable_folder_names_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "file" / "below"))
    with pytest.raises(DatasetError, match="set GRL_PREPARED to a folder that can"):
        prepare_domain(SMALL)


def test_the_data_root_is_only_read(tmp_path):
    data = Path(os.environ["GRL_DATA"])
    data.mkdir()
    (data / "raw").write_text("x")
    prepare_domain(replace(SMALL, originals=(Original(path="raw"),)))
    assert [path.name for path in data.iterdir()] == ["raw"]
