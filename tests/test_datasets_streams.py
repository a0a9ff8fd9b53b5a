import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.batches.streams import integers_below, permutation, random_bits


def test_the_numbers_never_change():
    assert random_bits(0, "x", 2, 2).tolist() == GOLDEN
    assert permutation(3, "mnist train order 0", 8).tolist() == GOLDEN_ORDER


GOLDEN = [[15625176376778371362, 10358621741605127985], [4992173295973426987, 1887451280472455438]]
GOLDEN_ORDER = [2, 6, 1, 5, 3, 7, 0, 4]


@given(st.integers(-(2**70), 2**70), st.text(max_size=8), st.integers(0, 20), st.integers(1, 5))
def test_a_row_does_not_depend_on_the_count(seed, name, rows, columns):
    longer = random_bits(seed, name, rows + 7, columns)
    assert np.array_equal(random_bits(seed, name, rows, columns), longer[:rows])


def test_streams_differ_by_seed_and_name():
    draws = {random_bits(seed, name, 1, 1).item() for seed in (0, 1, -1) for name in ("a", "b", "")}
    assert len(draws) == 9


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.integers(1, 2**31 - 1))
def test_integers_stay_below(bits, limit):
    numbers = integers_below(np.array(bits, np.uint64), limit)
    assert [((b >> 32) * limit) >> 32 for b in bits] == numbers.tolist()
    assert numbers.min() >= 0
    assert numbers.max() < limit


def test_integers_are_uniform():
    counts = np.bincount(integers_below(random_bits(0, "uniform", 70_000, 1)[:, 0], 7), minlength=7)
    chi_squared = ((counts - 10_000) ** 2 / 10_000).sum()
    assert chi_squared < 22.5  # 99.9th percentile with 6 degrees of freedom


@pytest.mark.parametrize("length", [1, 2, 1000])
def test_permutation_holds_every_index_once(length):
    order = permutation(0, "p", length)
    assert sorted(order.tolist()) == list(range(length))
    assert order.dtype == np.int64
