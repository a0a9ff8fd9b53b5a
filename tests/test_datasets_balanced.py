"""The balanced order against its own promises, whatever the labels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datasets import Batches, DatasetError, Labelled, Unlabelled
from datasets.batches.balanced import BalancedOrder

LABELS = st.lists(st.sampled_from([0, 2, 3, 7]), min_size=1, max_size=40).map(torch.tensor)


@given(labels=LABELS, seed=st.integers(0, 100), sizes=st.lists(st.integers(1, 17), min_size=1, max_size=6))
def test_rounds_hold_one_of_each_class_and_passes_each_sample(labels, seed, sizes):
    order = BalancedOrder(seed, "some", labels)
    drawn = torch.cat([order.take(size) for size in sizes])
    classes = labels.unique()
    for start in range(0, len(drawn) - len(classes) + 1, len(classes)):
        assert labels[drawn[start : start + len(classes)]].sort().values.equal(classes)
    for one in classes:
        members = torch.nonzero(labels == one)[:, 0]
        of_class = drawn[labels[drawn] == one]
        for start in range(0, len(of_class) - len(members) + 1, len(members)):
            assert of_class[start : start + len(members)].sort().values.equal(members)


@given(labels=LABELS, start=st.integers(0, 50), count=st.integers(1, 20))
def test_it_goes_on_from_any_position(labels, start, count):
    whole, later = (BalancedOrder(3, "some", labels) for _ in range(2))
    expected = whole.take(start + count)[start:]
    later.position = start
    assert later.take(count).equal(expected)
    assert later.position == start + count


def test_seeds_draw_other_orders():
    labels = torch.arange(60) % 3
    first, second = (BalancedOrder(seed, "some", labels).take(60) for seed in (0, 1))
    assert not first.equal(second)


def test_batches_are_balanced_and_go_on():
    split = Labelled(name="s", inputs=torch.arange(20.0)[:, None], labels=(torch.arange(20) < 15).long())
    stream = Batches(split, 4, seed=1, balanced=True)
    first = next(stream)
    assert first.labels.bincount().tolist() == [2, 2]
    assert torch.equal((first.inputs[:, 0] < 15).long(), first.labels)
    state, after = stream.state_dict(), next(stream)
    other = Batches(split, 4, seed=1, balanced=True)
    other.load_state_dict(state)
    assert torch.equal(next(other).inputs, after.inputs)
    with pytest.raises(DatasetError, match="balanced needs labels, which split 't' has not"):
        Batches(Unlabelled(name="t", inputs=split.inputs), 4, seed=1, balanced=True)
