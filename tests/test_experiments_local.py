import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import filelock
import pytest
from rich.console import Console

from experiments.errors import WorkerDied
from experiments.record import names
from experiments.record.files import read_json
from experiments.record.folder import folder_of
from experiments.work.bundles import bundle
from experiments.work.checkpoint import Checkpoint
from experiments.work.driver import work_off
from experiments.work.local import Local
from experiments.work.run import train_runs
from tests.support.small_runs import small_moons
from tests.support.small_workers import Dying, Faulty

LONG = {"steps": 200_000, "evaluate_every": 100, "log_every": 100}
PATIENCE_S = 120


def wait_until(condition) -> None:
    limit_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < limit_s
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"


def collect(pool: Local) -> list:
    ended = []
    limit_s = time.monotonic() + PATIENCE_S
    while pool.is_busy:
        assert time.monotonic() < limit_s
        ended += pool.ended(0.2)
    return ended


def test_workers_train_the_bits_of_this_process_and_are_replaced_after_a_bug_and_when_they_die(runs, capfd):
    """One pool for several cases: starting a worker takes seconds."""
    good, faulty, dying = (small_moons(), small_moons(network=Faulty()), small_moons(network=Dying()))
    pool = Local(1)
    pool.submit((faulty,))
    [worker] = pool._workers
    [broken] = collect(pool)
    assert not worker.process.is_alive()  # what a bug broke in it is nobody else's
    assert broken.died == "a worker met ZeroDivisionError: by zero; its traceback is above"
    said = capfd.readouterr().err
    assert "ZeroDivisionError: by zero" in said
    assert said.count("Traceback") == 1

    pool.submit((good,))
    [ended] = collect(pool)
    assert (ended.members, ended.in_use, ended.error, ended.died) == ((good,), (), "", "")
    in_worker = read_json(folder_of(good.hash) / "result.json")["weights_sha256"]

    pool.submit((dying,))
    [died] = collect(pool)
    assert died.died == "a worker process ended with exit code 3; finished runs are kept, the same command goes on"
    assert capfd.readouterr().err == ""

    pool.submit((small_moons(seed=1, **LONG),))  # by another worker
    folder = folder_of(small_moons(seed=1, **LONG).hash)
    wait_until(lambda: (folder / names.PROGRESS).exists())
    began_s = time.monotonic()
    pool.stop()
    assert time.monotonic() - began_s < 20  # told, not killed after its time of grace
    assert read_json(folder / "status.json")["status"] == "KILLED"
    assert Checkpoint(folder).load()["step"] > 0
    assert [each.error + each.died for each in pool.ended(0)] == [""]
    assert not pool.is_busy
    assert multiprocessing.active_children() == []
    assert capfd.readouterr().err == ""  # no traceback of who was told to stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRL_RUNS", str(runs / "elsewhere"))
        train_runs([good])
        assert read_json(folder_of(good.hash) / "result.json")["weights_sha256"] == in_worker


def test_a_worker_that_dies_ends_the_work_with_its_exit_code(client):
    with pytest.raises(WorkerDied, match="ended with exit code 3; finished runs are kept, the same command goes on"):
        work_off([small_moons(network=Dying())], "toy", open_pool=Local, bundle=bundle, console=Console())
    assert read_json(folder_of(small_moons(network=Dying()).hash) / "deliveries.json")


COMMAND = (
    *("-m", "experiments", "run", "moons", "--workers", "1"),
    *("--steps", "200000", "--evaluate-every", "100", "--log-every", "100"),
)
ORPHANS = """
import time
from experiments.work.local import Local
from tests.support.small_runs import small_moons
from tests.test_experiments_local import LONG
pool = Local(1)
pool.submit((small_moons(**LONG),))
print(*(worker.process.pid for worker in pool._workers), flush=True)
time.sleep(300)
"""


@pytest.fixture
def begin(runs):
    """Starts Python in a process group of its own."""
    started = []

    def start(*arguments) -> subprocess.Popen:
        # A suite that runs in the background ignores Ctrl-C, and so would what it starts.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=names.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        signal.signal(signal.SIGINT, before)
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_ctrl_c_ends_cleanly_with_a_checkpoint_and_marks_the_run_as_killed(begin, runs, client):
    process = begin(*COMMAND)
    wait_until(lambda: process.poll() is not None or any(runs.glob(f"*/{names.PROGRESS}")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and workers at once
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, stderr) == (130, "")
    assert "stopping: the same command goes on from the last checkpoints" in stdout
    [description] = runs.glob("*/run.json")
    status = read_json(description.parent / "status.json")
    assert status["status"] == "KILLED"
    assert Checkpoint(description.parent).load()["points"] == status["points"] >= 1
    [found] = client.search_runs([client.get_experiment_by_name("moons").experiment_id])
    assert found.info.status == "KILLED"


@pytest.mark.parametrize("training", [True, False], ids=["training", "importing"])
def test_no_worker_outlives_a_parent_that_was_killed(begin, runs, training):
    process = begin("-c", ORPHANS)
    worker = int(process.stdout.readline())
    if training:
        wait_until(lambda: any(runs.glob(f"*/{names.PROGRESS}")))
    process.kill()
    process.wait()
    wait_until(lambda: not is_alive(worker))
    folders = [path.parent for path in runs.glob("*/run.json")]
    assert bool(folders) == training
    for folder in folders:
        with filelock.FileLock(folder / "lock", timeout=0):
            assert read_json(folder / "status.json")["status"] == "KILLED"
            assert Checkpoint(folder).load()["step"] > 0
