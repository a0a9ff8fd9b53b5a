import os
import signal
import threading

import pytest

from experiments import Experiment, run
from experiments.errors import NonFiniteLoss, RunInUse
from experiments.record.files import claim, read_json
from experiments.record.folder import Recording, folder_of, read_points
from experiments.work.checkpoint import Checkpoint
from experiments.work.stopping import SIGNALS, told_to_stop
from grl.schedules import InverseDecay
from tests.support.small_runs import small_moons


def test_a_run_in_python_is_recorded_and_tracked_as_any_other(client):
    experiment = small_moons()
    assert isinstance(experiment, Experiment)
    result = run(experiment)
    assert (result.hash, result.folder, result.undelivered) == (experiment.hash, folder_of(experiment.hash), "")
    assert result.last == read_points(result.folder)[-1]["values"]
    assert list(result.curves().columns) == ["step", "metric", "value"]
    [found] = client.search_runs([client.get_experiment_by_name("python").experiment_id])
    assert (found.data.tags["hash"], found.info.status) == (experiment.hash, "FINISHED")
    assert run(experiment) == result


def test_what_cannot_be_trained_is_raised(client):
    wild = small_moons(lr=InverseDecay(lr=1e30))
    with pytest.raises(NonFiniteLoss, match="pair moons; before the first checkpoint"):
        run(wild)
    with claim(folder_of(small_moons().hash)), pytest.raises(RunInUse):
        run(small_moons())


def test_ctrl_c_in_python_leaves_a_checkpoint_of_that_very_step(client, monkeypatch):
    log = Recording.log

    def press_ctrl_c(self, step, values):
        if step == 15:
            os.kill(os.getpid(), signal.SIGINT)
        log(self, step, values)

    with monkeypatch.context() as patch:
        patch.setattr(Recording, "log", press_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            run(small_moons())
    folder = folder_of(small_moons().hash)
    assert Checkpoint(folder).load()["step"] == 15
    assert read_json(folder / "status.json")["status"] == "KILLED"
    assert run(small_moons()).last


def test_signals_are_noted_and_given_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    for number in SIGNALS:
        with told_to_stop() as must_stop:
            assert not must_stop()
            for _ in range(3):
                os.kill(os.getpid(), number)
            assert must_stop()
    with told_to_stop(insistent=True) as must_stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert must_stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_elsewhere_than_in_the_main_thread_no_signal_is_touched():
    seen = []

    def look():
        with told_to_stop() as must_stop:
            seen.append((must_stop(), [signal.getsignal(number) for number in SIGNALS]))

    before = [signal.getsignal(number) for number in SIGNALS]
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
