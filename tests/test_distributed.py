import numpy as np
import pytest

from experiments.distributed import agree, gather, place
from tests.small_processes import ALIKE, run_together, train_alike, train_everything
from tests.small_runs import ROUNDING


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRL_PREPARED", str(tmp_path_factory.mktemp("prepared")))
        yield


@pytest.fixture(scope="module")
def both(prepared):
    """What two processes made of everything."""
    return run_together(train_everything)


def test_alone_there_is_one_process():
    assert place() == (0, 1)
    assert gather("mine") == ["mine"]
    assert agree(lambda: 3) == 3


def test_two_processes_train_as_one_with_the_same_global_batch(both):
    alone = train_alike()
    first, second = (each["train_alike"] for each in both)
    for name in ALIKE:
        assert first[name]["digest"] == second[name]["digest"]  # both hold the same weights
        assert second[name]["points"] == []  # the first alone logs
        assert [step for step, _ in first[name]["points"]] == [step for step, _ in alone[name]["points"]]
        for (_, values), (_, expected) in zip(first[name]["points"], alone[name]["points"], strict=True):
            assert values == pytest.approx(expected, abs=ROUNDING)
        for part, expected in alone[name]["weights"].items():
            np.testing.assert_allclose(first[name]["weights"][part], expected, rtol=0, atol=ROUNDING, err_msg=part)


def test_two_processes_resume_to_the_same_bits_and_draw_their_own_masks(both):
    first, second = (each["resume_with_dropout"] for each in both)
    whole, resumed, apart = first
    assert whole == resumed
    assert apart
    assert first == second


def test_what_two_processes_cannot_do_is_refused_in_both(both):
    first, second = (each["refuse"] for each in both)
    assert first == second
    assert first == [
        "batch_size must be a multiple of 4 (two domains, 2 processes), got 30",
        "a network with BatchNorm can be trained in several processes on CUDA alone, got 2 on cpu",
        "the checkpoint is of 1 processes, got 2: go on with as many (torchrun --nproc-per-node 1), "
        "or delete it to start anew",
    ]


def test_an_error_of_the_first_process_is_raised_in_all(both):
    assert [each["disagree"] for each in both] == ["division by zero"] * 2
