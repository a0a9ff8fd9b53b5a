import pytest
import torch

from datasets import Batches, DatasetError, Labelled, StackedBatches, Unlabelled


def numbered(count: int, *shape: int) -> Labelled:
    inputs = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return Labelled(name="numbered train", inputs=inputs, labels=torch.arange(count))


@pytest.mark.parametrize("seeds", [(0,), (3, 1, 3, 2), (5, 5)])
def test_each_member_gets_the_batches_of_its_seed(seeds):
    split, mean = numbered(10, 4, 5, 3), torch.tensor([0.1, 0.2, 0.3])
    stacked = StackedBatches(split, 4, seeds=seeds, mean=mean)
    alone = [Batches(split, 4, seed=seed, mean=mean) for seed in seeds]
    for _ in range(7):  # past two ends of a pass
        batch = next(stacked)
        assert batch.inputs.shape == (len(seeds), 4, 3, 4, 5)
        for member, own in enumerate(alone):
            expected = next(own)
            assert torch.equal(batch.inputs[member], expected.inputs)
            assert torch.equal(batch.labels[member], expected.labels)


def test_features_without_labels():
    split = Unlabelled(name="features train", inputs=torch.randn(6, 5))
    batch = next(StackedBatches(split, 2, seeds=(0, 1)))
    assert not hasattr(batch, "labels")
    for member in (0, 1):
        assert torch.equal(batch.inputs[member], next(Batches(split, 2, seed=member)).inputs)


def test_goes_on_from_a_saved_position():
    split = numbered(10, 2, 2, 3)
    first, second, fewer = (StackedBatches(split, 4, seeds=seeds) for seeds in ((0, 1), (0, 1), (1,)))
    for _ in range(4):
        next(first)
    for other in (second, fewer):
        other.load_state_dict(first.state_dict())
    expected = next(first).inputs
    assert torch.equal(next(second).inputs, expected)
    assert torch.equal(next(fewer).inputs[0], expected[1])
    with pytest.raises(DatasetError, match="samples of the saved position must be 11, got 10"):
        StackedBatches(numbered(11, 2, 2, 3), 4, seeds=(0, 1)).load_state_dict(first.state_dict())


def test_nobody_to_serve_is_refused():
    with pytest.raises(DatasetError, match="seeds must name at least 1 member, got none"):
        StackedBatches(numbered(4, 2, 2, 3), 2, seeds=())


@pytest.mark.parametrize(
    ("splits", "means", "message"),
    [
        ("lu", 2, "split must have labels for all members, or for none, got some of both"),
        ("ul", 2, "split must have labels for all members, or for none, got some of both"),
        ("lll", 2, "split must be one for all 2 seeds, or one for each, got 3"),
        ("l", 2, "split must be one for all 2 seeds, or one for each, got 1"),
        ("ll", 3, "mean must be one for all 2 seeds, or one for each, got 3"),
        ("le", 2, "split 'none' must have at least 1 sample, got 0"),
    ],
)
def test_members_that_cannot_stand_side_by_side(splits, means, message):
    kinds = {
        "l": numbered(4, 2, 2, 3),
        "u": Unlabelled(name="unlabelled", inputs=numbered(6, 2, 2, 3).inputs),
        "e": Labelled(name="none", inputs=numbered(0, 2, 2, 3).inputs, labels=torch.arange(0)),
    }
    with pytest.raises(DatasetError, match=message):
        StackedBatches([kinds[kind] for kind in splits], 2, seeds=(0, 1), mean=[torch.zeros(3)] * means)


def test_members_on_splits_of_their_own():
    """Other inputs, other lengths, other labels of the same inputs, other means."""
    random = torch.Generator().manual_seed(0)
    inputs = [torch.randn(count, 3, generator=random) for count in (6, 9)]
    splits = [
        Labelled(
            name=f"split {which}",
            inputs=inputs[which],
            labels=torch.randint(0, 5, (len(inputs[which]),), generator=random),
        )
        for which in (0, 1, 0, 1)
    ]
    means, seeds = [torch.full((3,), float(which)) for which in (0, 1, 0, 1)], (0, 0, 1, 0)
    stacked = StackedBatches(splits, 4, seeds=seeds, mean=means)
    alone = [Batches(*each[:1], 4, seed=each[1], mean=each[2]) for each in zip(splits, seeds, means, strict=True)]
    for _ in range(5):
        batch = next(stacked)
        for member, own in enumerate(alone):
            expected = next(own)
            assert torch.equal(batch.inputs[member], expected.inputs)
            assert torch.equal(batch.labels[member], expected.labels)
    again = StackedBatches(splits, 4, seeds=seeds, mean=means)
    again.load_state_dict(stacked.state_dict(1), 1)
    assert torch.equal(next(again).inputs, next(stacked).inputs)
    with pytest.raises(DatasetError, match="split of the saved position must be"):
        again.load_state_dict(stacked.state_dict(1), 0)
