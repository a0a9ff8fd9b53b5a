import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from datasets import DatasetError
from datasets.files.safe_pickle import load_arrays

NUMBERS = npst.arrays(npst.integer_dtypes() | npst.floating_dtypes(), (2, 3))


@given(st.dictionaries(st.text(max_size=5), NUMBERS, max_size=3), st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_arrays_survive_under_every_protocol(tmp_path_factory, arrays, protocol):
    path = tmp_path_factory.mktemp("p") / "x.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol))
    found = load_arrays(path)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


class Calls:
    def __init__(self, function, *arguments):
        self.what = (function, arguments)

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize(
    "content",
    [
        {"a": Calls(eval, "1 / 0")},
        {"a": Calls(np.load, "/nowhere")},
        {"a": np.array([Calls(print, "run")], object)},
        Calls(getattr, "x", "upper"),
        {"a": pickle.Pickler},
    ],
)
def test_whatever_refers_to_anything_else_is_refused(tmp_path, capsys, content):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DatasetError, match=r"x\.pkl cannot be read: it refers to .*only NumPy arrays may be in it"):
        load_arrays(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("content", "kind"), [([1], "list"), ({"a": [1]}, "dict"), (np.zeros(2), "ndarray")])
def test_other_contents(tmp_path, content, kind):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DatasetError, match=f"must be a dictionary of NumPy arrays, got {kind}"):
        load_arrays(path)


@given(st.binary(max_size=100))
def test_random_bytes_are_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("p") / "x.pkl"
    path.write_bytes(content)
    try:
        load_arrays(path)
    except DatasetError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 (either is right)
