import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from datasets import DatasetError
from datasets.files.prepared import digest_of, open_prepared, write_prepared

ARRAYS = {"train_inputs": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "train_labels": np.array([0, 1])}


@given(
    st.dictionaries(
        st.text("abc_", min_size=1, max_size=5),
        st.sampled_from([np.uint8, np.float32, np.int64]).flatmap(
            lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
        ),
        max_size=4,
    )
)
def test_round_trip(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("p") / "x.grl"
    digest = write_prepared(path, {"name": "x"}, arrays)
    opened = open_prepared(path)
    assert opened.facts == {"name": "x"}
    assert opened.digest == digest == digest_of(opened.arrays)
    assert set(opened.arrays) == set(arrays)
    for name, array in arrays.items():
        assert opened.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(opened.arrays[name], array)


def test_digest_sees_names_types_shapes_and_contents():
    base = np.zeros((2, 3), np.uint8)
    others = [{"b": base}, {"a": base.astype(np.int8)}, {"a": base.reshape(3, 2)}, {"a": base + 1}, {}]
    assert len({digest_of(arrays) for arrays in [{"a": base}, *others]}) == 6


def test_digest_does_not_depend_on_memory_order():
    array = np.arange(12).reshape(3, 4)
    assert digest_of({"a": array}) == digest_of({"a": np.asfortranarray(array)})


def test_a_change_stays_in_this_process(tmp_path):
    write_prepared(tmp_path / "x.grl", {}, ARRAYS)
    open_prepared(tmp_path / "x.grl").arrays["train_inputs"][:] = 9
    np.testing.assert_array_equal(open_prepared(tmp_path / "x.grl").arrays["train_inputs"], ARRAYS["train_inputs"])


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b[:100], lambda b: b[:10]])
def test_wrong_length(tmp_path, change):
    path = tmp_path / "x.grl"
    write_prepared(path, {}, ARRAYS)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DatasetError, match=r"x\.grl .*delete it and prepare it again"):
        open_prepared(path)


@pytest.mark.parametrize("content", [b"", b"not a prepared file at all", b"GRLDATA1" + b"\xff" * 40])
def test_another_file(tmp_path, content):
    (tmp_path / "x.grl").write_bytes(content)
    with pytest.raises(DatasetError, match="is not a prepared file"):
        open_prepared(tmp_path / "x.grl")


HEADER = {
    "facts": {"name": "x"},
    "digest": "0" * 64,
    "arrays": {"a": {"dtype": "|u1", "shape": [2, 3], "offset": 0}},
    "bytes": 64,
}


def with_header(path, content):
    path.write_bytes(b"GRLDATA1" + len(content).to_bytes(8, "little") + content + bytes(64))
    return path


def test_the_header_below_is_a_good_one(tmp_path):
    opened = open_prepared(with_header(tmp_path / "x.grl", json.dumps(HEADER).encode()))
    assert opened.arrays["a"].shape == (2, 3)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PATHS = [[], ["facts"], ["digest"], ["bytes"], ["arrays"], ["arrays", "a"], ["arrays", "a", "dtype"]]
PATHS += [["arrays", "a", "shape"], ["arrays", "a", "shape", 0], ["arrays", "a", "offset"]]


@given(st.sampled_from(PATHS), JSON)
@example(["arrays", "a", "shape", 0], -2)
@example(["arrays", "a", "shape", 0], False)
@example(["arrays", "a", "offset"], True)
@example(["arrays", "a", "shape"], [-1])
@example(["arrays", "a", "offset"], -6)
@example(["arrays", "a", "dtype"], "|O")
@example(["arrays", "a", "dtype"], "2f4")
@example(["bytes"], True)
@example(["bytes"], None)
@example([], None)
@example([], [])
def test_any_value_in_the_header_opens_or_is_one_line(tmp_path_factory, path, value):
    header = json.loads(json.dumps(HEADER))
    if path:
        inner = header
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
    else:
        header = value
    opens_or_is_one_line(with_header(tmp_path_factory.mktemp("p") / "x.grl", json.dumps(header).encode()))


@given(st.binary(max_size=200))
def test_random_bytes_as_a_header_are_one_line(tmp_path_factory, content):
    opens_or_is_one_line(with_header(tmp_path_factory.mktemp("p") / "x.grl", content))


def opens_or_is_one_line(path):
    try:
        opened = open_prepared(path)
    except DatasetError as error:
        message = str(error)
        assert len(message.splitlines()) == 1, message
        assert str(path) in message
        assert "delete it and prepare it again" in message
    else:
        assert sum(array.nbytes for array in opened.arrays.values()) <= 64


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_that_may_not_be_read(tmp_path):
    write_prepared(tmp_path / "x.grl", {}, ARRAYS)
    (tmp_path / "x.grl").chmod(0)
    with pytest.raises(DatasetError, match=r"x\.grl cannot be read: .*Permission denied"):
        open_prepared(tmp_path / "x.grl")


def test_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.grl"
    digest = write_prepared(path, {}, ARRAYS)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DatasetError, match="could not be written \\(No space left on device\\)"):
        write_prepared(path, {}, {"a": np.zeros(5)})
    assert open_prepared(path).digest == digest
    assert os.listdir(tmp_path) == ["x.grl"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs the limit on file sizes of Linux")
def test_real_limit_on_file_size(tmp_path):
    program = (
        "import resource, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from datasets.files.prepared import write_prepared\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "write_prepared(Path(sys.argv[1]), {}, {'a': np.zeros(1_000_000)})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "x.grl"], capture_output=True, text=True, check=False
    )
    assert "DatasetError" in done.stderr
    assert "could not be written (File too large)" in done.stderr
    assert os.listdir(tmp_path) == []
