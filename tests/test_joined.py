import pytest
import torch

from datasets import Batches, DatasetError, JoinedBatches, Labelled, Unlabelled


def splits(shape=(4, 4, 3)):
    generator = torch.Generator().manual_seed(0)
    draw = lambda: torch.randint(0, 256, (30, *shape), dtype=torch.uint8, generator=generator)  # noqa: E731
    source = Labelled(name="s", inputs=draw(), labels=torch.arange(30))
    return source, Unlabelled(name="t", inputs=draw())


def test_the_numbers_of_cat():
    source, target = splits()
    mean = torch.tensor([0.2, 0.3, 0.4])
    joined = JoinedBatches(Batches(source, 8, seed=0, mean=mean), Batches(target, 5, seed=0, mean=mean))
    apart = Batches(source, 8, seed=0, mean=mean), Batches(target, 5, seed=0, mean=mean)
    for _ in range(10):
        batch, first, second = next(joined), next(apart[0]), next(apart[1])
        assert torch.equal(batch.inputs, torch.cat([first.inputs, second.inputs]))
        assert torch.equal(batch.labels, first.labels)
        assert batch.inputs.is_contiguous(memory_format=torch.channels_last)


def test_one_buffer():
    source, target = splits()
    joined = JoinedBatches(Batches(source, 4, seed=0), Batches(target, 4, seed=0))
    assert next(joined).inputs.data_ptr() == next(joined).inputs.data_ptr()


def test_autograd_notices_a_batch_that_was_overwritten():
    source, target = splits()
    joined = JoinedBatches(Batches(source, 4, seed=0), Batches(target, 4, seed=0))
    layer = torch.nn.Conv2d(3, 2, 3)
    loss = layer(next(joined).inputs).sum()
    next(joined)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_features():
    source = Labelled(name="s", inputs=torch.rand(9, 2), labels=torch.arange(9))
    target = Unlabelled(name="t", inputs=torch.rand(9, 2))
    assert next(JoinedBatches(Batches(source, 4, seed=0), Batches(target, 4, seed=0))).inputs.shape == (8, 2)


def test_shapes_must_agree():
    source, _ = splits()
    _, target = splits((5, 5, 3))
    with pytest.raises(DatasetError, match=r"one shape and device, got \(4, 4, 3\) on cpu and \(5, 5, 3\) on cpu"):
        JoinedBatches(Batches(source, 4, seed=0), Batches(target, 4, seed=0))
