import dataclasses
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datasets import Augment, Batches, DatasetError, Labelled, StackedBatches, one_pass


def pictures(count=50, height=6, width=6, channels=3):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (count, height, width, channels), dtype=torch.uint8, generator=generator)
    return Labelled(name="pictures train", inputs=inputs, labels=torch.arange(count))


def batch_of(augment, split=None, size=50, seed=0):
    return next(Batches(split or pictures(), size, seed=seed, augment=augment))


def as_bytes(inputs):
    return (inputs * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def test_no_augmentation_changes_nothing():
    plain, augmented = batch_of(None), batch_of(Augment())
    assert torch.equal(plain.inputs, augmented.inputs)
    assert augmented.inputs.is_contiguous(memory_format=torch.channels_last)


def test_one_that_varies_nothing_takes_features_too():
    features = Labelled(name="f", inputs=torch.rand(4, 2), labels=torch.zeros(4, dtype=torch.int64))
    assert torch.equal(batch_of(Augment(), features, 4).inputs, batch_of(None, features, 4).inputs)


def test_survives_json():
    augment = Augment(shift=2, crop=24, flip=True, colour=0.25)
    assert Augment(**json.loads(json.dumps(dataclasses.asdict(augment)))) == augment


@pytest.mark.parametrize("seeds", [(0,), (3, 1, 3)])
def test_members_side_by_side_get_what_each_gets_alone(seeds):
    augment, mean = Augment(shift=1, crop=5, flip=True, colour=0.3), torch.tensor([0.1, 0.2, 0.3])
    stacked = StackedBatches(pictures(), 4, seeds=seeds, mean=mean, augment=augment)
    alone = [Batches(pictures(), 4, seed=seed, mean=mean, augment=augment) for seed in seeds]
    for _ in range(14):  # past the end of a pass
        batch = next(stacked)
        for member, own in enumerate(alone):
            assert torch.equal(batch.inputs[member], next(own).inputs)


def test_flip_mirrors_about_half():
    split = pictures(400)
    batch = batch_of(Augment(flip=True), split, 400)
    found, original = as_bytes(batch.inputs), split.inputs[batch.labels]
    same = (found == original).flatten(1).all(1)
    mirrored = (found == original.flip(2)).flatten(1).all(1)
    assert (same | mirrored).all()
    assert 160 < mirrored.sum() < 240


def test_crop_is_a_window_of_the_image_and_all_windows_occur():
    split = pictures(400)
    batch = batch_of(Augment(crop=4), split, 400)
    assert batch.inputs.shape == (400, 3, 4, 4)
    places = set()
    for found, label in zip(as_bytes(batch.inputs), batch.labels, strict=True):
        windows = {(y, x): split.inputs[label, y : y + 4, x : x + 4] for y in range(3) for x in range(3)}
        places.add(next(place for place, window in windows.items() if torch.equal(window, found)))
    assert len(places) == 9


def test_shift_moves_up_to_so_far_and_repeats_the_edge():
    split = pictures(400)
    batch = batch_of(Augment(shift=1), split, 400)
    wide = torch.nn.functional.pad(split.inputs.permute(0, 3, 1, 2).float(), (1, 1, 1, 1), "replicate")
    wide = wide.to(torch.uint8).permute(0, 2, 3, 1)
    places = set()
    for found, label in zip(as_bytes(batch.inputs), batch.labels, strict=True):
        windows = {(y, x): wide[label, y : y + 6, x : x + 6] for y in range(3) for x in range(3)}
        places.add(next(place for place, window in windows.items() if torch.equal(window, found)))
    assert len(places) == 9


def test_large_images_picked_in_parts_are_the_same(monkeypatch):
    augment = Augment(shift=2, crop=5, flip=True)
    whole = batch_of(augment)
    monkeypatch.setattr("datasets.batches.augment.CACHED_PIXELS", 80)  # three images of 25 pixels
    assert torch.equal(whole.inputs, batch_of(augment).inputs)


def test_colour_stays_in_range_and_varies():
    split = pictures()
    batch = batch_of(Augment(colour=0.4), split)
    assert batch.inputs.min() >= 0
    assert batch.inputs.max() <= 1
    assert not torch.equal(as_bytes(batch.inputs), split.inputs[batch.labels])


def test_grey_stays_grey():
    inputs = torch.randint(0, 256, (20, 5, 5, 1), dtype=torch.uint8).expand(-1, -1, -1, 3).contiguous()
    split = Labelled(name="grey", inputs=inputs, labels=torch.zeros(20, dtype=torch.int64))
    varied = batch_of(Augment(colour=0.5), split, 20).inputs
    torch.testing.assert_close(varied[:, 0], varied[:, 1])


def test_mean_is_subtracted_after_the_colours():
    mean = torch.tensor([0.1, 0.2, 0.3])
    plain = batch_of(Augment(colour=0.4))
    shifted = next(Batches(pictures(), 50, seed=0, augment=Augment(colour=0.4), mean=mean))
    torch.testing.assert_close(plain.inputs - mean.view(1, 3, 1, 1), shifted.inputs)


@given(st.integers(0, 12), st.integers(0, 3))
def test_resume_continues_exactly(steps, seed):
    augment = Augment(shift=1, crop=5, flip=True, colour=0.2)
    batches = Batches(pictures(), 7, seed=seed, augment=augment)
    for _ in range(steps):
        next(batches)
    resumed = Batches(pictures(), 7, seed=seed, augment=augment)
    resumed.load_state_dict(batches.state_dict())
    for _ in range(3):
        assert torch.equal(next(batches).inputs, next(resumed).inputs)


def test_its_stream_does_not_change_the_order():
    assert batch_of(None, size=20).labels.tolist() == batch_of(Augment(flip=True), size=20).labels.tolist()


def test_evaluation_cuts_the_centre():
    split = pictures()
    batch = next(one_pass(split, 10, crop=4))
    assert torch.equal(as_bytes(batch.inputs), split.inputs[:10, 1:5, 1:5])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shift": -1}, "shift must be a whole number >= 0, got -1"),
        ({"shift": 1.5}, "shift must be a whole number >= 0, got 1.5"),
        ({"shift": True}, "shift must be a whole number >= 0, got True"),
        ({"crop": 0}, "crop must be None or a whole number >= 1, got 0"),
        ({"crop": "24"}, "crop must be None or a whole number >= 1, got '24'"),
        ({"flip": 1}, "flip must be True or False, got 1"),
        ({"colour": "0.1"}, r"colour must be in \[0, 1\), got '0.1'"),
        ({"colour": 1.0}, r"colour must be in \[0, 1\), got 1.0"),
        ({"colour": float("nan")}, r"colour must be in \[0, 1\), got nan"),
    ],
)
def test_bad_fields(fields, message):
    with pytest.raises(DatasetError, match=message):
        Augment(**fields)


def test_does_not_fit_the_samples():
    with pytest.raises(DatasetError, match="crop must be at most 6 for images 6 × 6, got 7"):
        batch_of(Augment(crop=7))
    features = Labelled(name="f", inputs=torch.zeros(4, 2), labels=torch.zeros(4, dtype=torch.int64))
    with pytest.raises(DatasetError, match=r"augment needs images \(H, W, C\), got samples of shape \(2,\)"):
        Batches(features, 2, seed=0, augment=Augment(flip=True))
