import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments import record
from experiments.distributed import agree, gather, place
from experiments.recording import is_done
from experiments.running import run
from tests.small_processes import ALIKE, LONG, run_together, train_alike, train_everything
from tests.small_runs import ROUNDING, small_moons
from tests.test_running import outcome_of


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
        "processes must be 1, as when the checkpoint was written, got 2: use torchrun --nproc-per-node 1, "
        "or delete the checkpoint to start anew",
    ]


def test_an_error_of_the_first_process_is_raised_in_all(both):
    assert [each["disagree"] for each in both] == ["division by zero"] * 2


# torchrun itself


@pytest.fixture
def torchrun(runs, monkeypatch):
    """Starts two processes of a module with torchrun, in a group that is gone after the test."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    started = []

    def start(*module_and_arguments: str) -> subprocess.Popen:
        launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
        process = subprocess.Popen(
            [*launcher, *module_and_arguments],
            cwd=record.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_one_killed_process_ends_all_and_the_same_command_goes_on_to_the_same_bits(both, runs, torchrun):
    killed = torchrun("tests.small_processes")
    said = killed.stdout.readline() + killed.stdout.readline()
    follower = int(re.search(r"process 1 is (\d+)", said)[1])
    while not (runs / LONG.hash / record.CHECKPOINT).exists():
        time.sleep(0.01)
    os.kill(follower, signal.SIGKILL)
    killed.communicate(timeout=100)
    assert killed.returncode != 0
    assert not is_done(LONG)

    again = torchrun("tests.small_processes")
    assert again.wait(200) == 0, again.communicate()
    _, *found = outcome_of(LONG)
    assert found == list(both[0]["train_long"])


COMMAND = (
    "experiments",
    "run",
    "moons",
    "--steps",
    "30",
    "--evaluate-every",
    "10",
    "--log-every",
    "5",
    "--lr.lr",
    "0.1",
)


def test_the_command_trains_one_run_in_all_processes_and_records_it_once(client, runs, torchrun, monkeypatch):
    command = torchrun(*COMMAND)
    stdout, stderr = command.communicate(timeout=200)
    assert command.returncode == 0, stderr
    assert stdout.count("recorded in MLflow as 'moons'") == 1
    experiment = small_moons()
    whole = outcome_of(experiment)
    [found] = client.search_runs([client.get_experiment_by_name("moons").experiment_id])
    assert (found.info.status, found.data.tags["hash"]) == ("FINISHED", experiment.hash)
    assert len(client.get_metric_history(found.info.run_id, "label_loss")) == 6
    assert found.data.tags["hardware"].endswith(" cores, cpu, 2 processes")

    again = torchrun(*COMMAND)
    stdout, stderr = again.communicate(timeout=200)
    assert again.returncode == 0, stderr
    assert "1 of 1 runs are already done" in stdout
    assert outcome_of(experiment) == whole

    monkeypatch.setenv("GRL_RUNS", str(runs / "alone"))
    run(experiment)
    for (_, values), (_, expected) in zip(whole[2], outcome_of(experiment)[2], strict=True):
        assert values == pytest.approx(expected, abs=ROUNDING)
