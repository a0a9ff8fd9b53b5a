import pytest
import torch

from datasets import Batches, DatasetError, Labelled, Prefetched


def batches():
    split = Labelled(name="s", inputs=torch.arange(30.0).view(-1, 1), labels=torch.arange(30))
    return Batches(split, 7, seed=0)


@pytest.fixture
def prefetched():
    worker = Prefetched(batches(), depth=3)
    yield worker
    worker.close()


def test_same_batches_in_the_same_order(prefetched):
    plain = batches()
    for _ in range(20):
        assert next(prefetched).labels.tolist() == next(plain).labels.tolist()


def test_state_is_that_of_the_last_batch_handed_out(prefetched):
    plain = batches()
    assert prefetched.state_dict() == plain.state_dict()
    for _ in range(5):
        next(prefetched), next(plain)
        assert prefetched.state_dict() == plain.state_dict()


def test_resume_forgets_what_lies_ready(prefetched):
    plain = batches()
    for _ in range(4):
        next(plain)
    state, expected = plain.state_dict(), next(plain).labels.tolist()
    for _ in range(9):
        next(prefetched)
    prefetched.load_state_dict(state)
    assert next(prefetched).labels.tolist() == expected


def test_an_error_in_the_worker_arrives(prefetched, monkeypatch):
    def broken(out):
        raise OSError("disk gone")

    monkeypatch.setattr(prefetched._batches, "write_next", broken)
    with pytest.raises(OSError, match="disk gone"):
        next(prefetched)


def test_depth_must_be_positive():
    with pytest.raises(DatasetError, match="depth must be at least 1, got 0"):
        Prefetched(batches(), depth=0)
