import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datasets import Augment, Batches, DatasetError, Labelled, StackedBatches, Unlabelled, one_pass


def numbered(count=10, name="numbered train"):
    inputs = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 2, 2, 3).contiguous()
    return Labelled(name=name, inputs=inputs, labels=torch.arange(count))


def test_every_sample_once_per_pass():
    batches = Batches(numbered(10), 4, seed=0)
    labels = torch.cat([next(batches).labels for _ in range(5)])
    assert sorted(labels[:10].tolist()) == list(range(10))
    assert sorted(labels[10:].tolist()) == list(range(10))
    assert labels[:10].tolist() != labels[10:].tolist()


def test_inputs_follow_labels_and_are_normalised():
    mean = torch.tensor([0.0, 0.5, 1.0])
    batch = next(Batches(numbered(10), 4, seed=0, mean=mean))
    assert batch.inputs.shape == (4, 3, 2, 2)
    assert batch.inputs.dtype == torch.float32
    assert batch.inputs.is_contiguous(memory_format=torch.channels_last)
    expected = (batch.labels / 255)[:, None] - mean
    torch.testing.assert_close(batch.inputs[:, :, 0, 0], expected.float())


def test_resume_continues_exactly():
    batches = Batches(numbered(10), 3, seed=5)
    for _ in range(7):
        next(batches)
    state = batches.state_dict()
    expected = [next(batches).labels.tolist() for _ in range(9)]
    resumed = Batches(numbered(10), 3, seed=5)
    resumed.load_state_dict(state)
    assert [next(resumed).labels.tolist() for _ in range(9)] == expected


def test_unlabelled_batch_has_no_labels():
    split = Unlabelled(name="x", inputs=torch.zeros(4, 2))
    batch = next(Batches(split, 2, seed=0))
    assert not hasattr(split, "labels")
    assert not hasattr(batch, "labels")


def test_one_pass_keeps_order_and_the_short_last_batch():
    batches = list(one_pass(numbered(10), 4))
    assert [len(batch.labels) for batch in batches] == [4, 4, 2]
    assert torch.cat([batch.labels for batch in batches]).tolist() == list(range(10))


def test_two_splits_have_independent_orders_under_one_seed():
    first = next(Batches(numbered(100, "a train"), 100, seed=0)).labels
    second = next(Batches(numbered(100, "b train"), 100, seed=0)).labels
    assert first.tolist() != second.tolist()


def test_bad_arguments():
    with pytest.raises(DatasetError, match="batch_size must be at least 1, got 0"):
        Batches(numbered(), 0, seed=0)
    with pytest.raises(DatasetError, match="split 'numbered train' must have at least 1 sample, got 0"):
        Batches(numbered(0), 2, seed=0)
    with pytest.raises(DatasetError, match=r"mean must have shape \(3,\), got \(1,\)"):
        Batches(numbered(), 2, seed=0, mean=torch.zeros(1))
    with pytest.raises(DatasetError, match="seed of the saved position must be 1, got 0"):
        Batches(numbered(), 2, seed=1).load_state_dict(Batches(numbered(), 2, seed=0).state_dict())


@pytest.mark.parametrize("position", [-1, "x", "3", 1.0, None, True])
def test_a_saved_position_is_a_number_of_samples(position):
    batches = Batches(numbered(), 2, seed=0)
    stacked = StackedBatches(numbered(), 2, seeds=(0, 1))
    for each in (batches, stacked):
        with pytest.raises(
            DatasetError, match=f"position of the saved position must be an integer >= 0, got {position!r}"
        ):
            each.load_state_dict(each.state_dict() | {"position": position})
        each.load_state_dict(each.state_dict() | {"position": np.int64(4)})
        assert each.state_dict()["position"] == 4


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 3), st.integers(0, 60))
def test_any_sizes_give_whole_passes_and_resume(count, batch_size, seed, steps):
    batches = Batches(numbered(count), batch_size, seed=seed)
    labels = torch.cat([next(batches).labels for _ in range(steps + 1)])
    whole = len(labels) // count * count
    for one in labels[:whole].view(-1, count):
        assert sorted(one.tolist()) == list(range(count))
    resumed = Batches(numbered(count), batch_size, seed=seed)
    resumed.load_state_dict(batches.state_dict())
    assert next(resumed).labels.tolist() == next(batches).labels.tolist()


def test_the_order_never_changes():
    """A run resumed with a later version of this code must see the same samples."""
    assert next(Batches(numbered(10, "mnist train"), 10, seed=0)).labels.tolist() == [6, 7, 9, 0, 2, 3, 8, 5, 1, 4]


def test_labels_travel_with_features():
    split = Labelled(name="f", inputs=torch.arange(20.0).view(10, 2), labels=torch.arange(10))
    batch = next(Batches(split, 4, seed=0, mean=torch.tensor([1.0, 2.0])))
    torch.testing.assert_close(batch.inputs, split.inputs[batch.labels] - torch.tensor([1.0, 2.0]))


def test_samples_that_stay_on_the_host_give_the_same_batches():
    first, second = Batches(numbered(), 4, seed=0), Batches(numbered(), 4, seed=0, resident=False)
    for _ in range(5):
        assert torch.equal(next(first).inputs, next(second).inputs)


def test_scale_is_that_of_division_by_255():
    inputs = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)
    split = Labelled(name="x", inputs=inputs, labels=torch.arange(256))
    batch = next(one_pass(split, 256))
    torch.testing.assert_close(batch.inputs.flatten(), torch.arange(256) / 255, rtol=0, atol=1e-7)
    assert batch.inputs.max() <= 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("resident", [True, False])
def test_the_device_changes_nothing(resident):
    augment = Augment(shift=1, flip=True)
    here = Batches(numbered(), 4, seed=0, augment=augment)
    there = Batches(numbered(), 4, seed=0, augment=augment, device="cuda", resident=resident)
    for _ in range(9):
        first, second = next(here), next(there)
        assert second.inputs.is_cuda
        assert second.labels.is_cuda
        assert first.labels.tolist() == second.labels.tolist()
        torch.testing.assert_close(first.inputs, second.inputs.cpu(), rtol=0, atol=1e-6)
