import json
import shutil
import signal
import threading

import pytest

from experiments.__main__ import main
from experiments.errors import BadInput, run_command
from experiments.record import names
from experiments.record.delivery import Destination, address, deliver, undelivered
from experiments.record.folder import Recording, folder_of, read_points, read_status
from experiments.record.store import Unreachable, open_client
from experiments.work import courier as module
from experiments.work.courier import Courier
from experiments.work.run import train_runs
from tests.support.mlflow_server import MlflowServer
from tests.support.recorded_curves import curves_of, recorded_curves
from tests.support.small_runs import small_moons

TOY = Destination("toy")


class Store:
    """A job that notes its calls and fails while the store is away; `came` is set at each call."""

    def __init__(self, failures=0):
        self.failures, self.calls, self.came = failures, [], threading.Semaphore(0)

    def __call__(self, client, name):
        self.calls.append(name)
        self.came.release()
        if self.failures > 0:
            self.failures -= 1
            raise Unreachable(f"{name} is lost")

    def wait_for_calls(self, count):
        for _ in range(count):
            assert self.came.acquire(timeout=60)


@pytest.fixture
def quick(monkeypatch):
    """Pauses too short to wait for."""
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.002)


def test_what_failed_is_tried_again_until_it_arrives(client, quick):
    store = Store(failures=5)
    with Courier() as courier:
        courier.send(store, "first")
        store.wait_for_calls(6)
    assert courier.trouble == ""
    assert store.calls == ["first"] * 6


def test_a_store_that_is_away_at_the_start_is_asked_again(client, quick, monkeypatch):
    attempts = []

    def open_at_third():
        attempts.append(1)
        if len(attempts) < 3:
            raise Unreachable("nobody there")
        return client

    monkeypatch.setattr(module, "open_client", open_at_third)
    store = Store()
    with Courier() as courier:
        courier.send(store, "first")
        store.wait_for_calls(1)
    assert (courier.trouble, store.calls, len(attempts)) == ("", ["first"], 3)


def test_the_end_makes_one_last_attempt_and_says_what_did_not_arrive(client, monkeypatch):
    for name in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S"):
        monkeypatch.setattr(module, name, 600.0)  # nothing but the end itself tries again
    lost, late = Store(failures=9), Store(failures=1)
    with Courier() as courier:
        courier.send(lost, "lost")
        lost.wait_for_calls(1)
        for name in ("late", "more", "late"):
            courier.send(late, name)
        courier.send(lost, "gone")
    assert courier.trouble == "lost is lost (and 2 more)"
    assert lost.calls == ["lost", "gone", "lost"]  # the newer first
    assert late.calls == ["late", "more"]  # each once, however often it was sent


def test_news_of_a_job_under_way_are_sent_too(client):
    started, go_on = threading.Semaphore(0), threading.Semaphore(0)
    calls = []

    def job(client):
        calls.append(1)
        started.release()
        assert go_on.acquire(timeout=60)

    with Courier() as courier:
        courier.send(job)
        assert started.acquire(timeout=60)
        for _ in range(3):
            courier.send(job)
        go_on.release(2)
    assert (len(calls), courier.trouble) == (2, "")


def test_a_store_that_hangs_is_left_after_one_timeout_and_one_that_answers_is_not(client, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(module, "REQUEST_TIMEOUT_S", 1.5)
    monkeypatch.setattr(module, "open_client", lambda: client)
    released, slow_is_done = threading.Event(), []

    def slow(client):
        for _ in range(4):
            released.wait(0.5)
            client.search_experiments(max_results=1)
        slow_is_done.append(True)

    with Courier() as courier:
        courier.send(slow)
    assert (slow_is_done, courier.trouble) == ([True], "")
    with Courier() as courier:
        courier.send(lambda client: released.wait(60))
        courier.send(slow)
    assert courier.trouble == "MLflow store http://127.0.0.1:9 has not answered for 1.5 s (and 1 more)"
    assert len(slow_is_done) == 1
    released.set()


def test_ctrl_c_while_the_rest_is_sent_leaves_it_and_says_so(client, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(module, "open_client", lambda: client)
    released = threading.Event()
    with Courier() as courier:
        courier.send(lambda client: released.wait(60))
        join = courier._thread.join

        def join_and_press(*arguments):
            monkeypatch.setattr(courier._thread, "join", join)
            raise KeyboardInterrupt

        monkeypatch.setattr(courier._thread, "join", join_and_press)
    assert courier.trouble == "sending to MLflow store http://127.0.0.1:9 was interrupted"
    released.set()


def test_what_an_earlier_command_could_not_deliver_goes_along(client):
    experiment = small_moons()
    train_runs([experiment])
    address(folder_of(experiment.hash), TOY)
    assert undelivered() == [folder_of(experiment.hash)]
    with Courier() as courier:
        pass
    assert (courier.trouble, undelivered()) == ("", [])


def test_a_damaged_run_is_no_trouble_of_others(client):
    good, bad = small_moons(), small_moons(seed=1)
    for experiment in (good, bad):
        train_runs([experiment])
        address(folder_of(experiment.hash), TOY)
    (folder_of(bad.hash) / names.DELIVERIES).write_text("{")
    with Courier() as courier:
        courier.send(deliver, folder_of(good.hash))
    assert courier.trouble == ""
    with Courier() as courier:
        courier.send(deliver, folder_of(bad.hash))
    assert "deliveries.json cannot be used" in courier.trouble
    [found] = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert found.data.tags["hash"] == good.hash


def test_sync_sends_the_others_of_a_damaged_run(client, capsys):
    good, bad = small_moons(), small_moons(seed=1)
    for experiment in (good, bad):
        train_runs([experiment])
        address(folder_of(experiment.hash), TOY)
    (folder_of(bad.hash) / names.RUN).write_text("{")
    assert run_command(main, ["sync"]) == 1
    said = capsys.readouterr().out
    assert f"sent {good.hash}\n" in said
    assert f"kept {bad.hash}: {folder_of(bad.hash) / names.RUN} cannot be used" in said
    assert undelivered() == [folder_of(bad.hash)]


def test_a_uri_that_no_store_can_have_is_said_before_anything_starts(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "htp://x")
    with pytest.raises(BadInput, match="scheme 'htp' is unknown"):
        Courier()


@pytest.fixture(scope="module")
def server(tmp_path_factory, migrated_store):
    """A real MLflow server, down at first; starting it takes seconds, so the tests share it."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(migrated_store, folder / "server.db")
    server = MlflowServer(folder)
    yield server
    server.kill()


@pytest.fixture
def remote(server, runs, monkeypatch):
    """That server as the store that commands use."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    return server


def find_run(experiment_name):
    client = open_client()
    [found] = client.search_runs([client.get_experiment_by_name(experiment_name).experiment_id])
    return client, found


def test_a_store_that_is_away_stops_no_run_and_gets_it_later(remote, runs, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "400")
    remote.kill()
    with pytest.raises(Unreachable, match=f"^MLflow store {remote.uri} cannot be reached: "):
        open_client()
    options = ["--steps", "20", "--evaluate-every", "10", "--log-every", "5", "--workers", "1"]
    assert run_command(main, ["run", "moons", *options]) == 1
    said = capsys.readouterr().out
    assert "[1/1] dann seed 0 moons [moons]: target accuracy" in said
    assert f"not in MLflow: MLflow store {remote.uri} cannot be reached" in said
    assert "python -m experiments sync" in said
    [result] = runs.glob("*/result.json")
    assert run_command(main, ["sync"]) == 2
    assert f"error: MLflow store {remote.uri} cannot be reached" in capsys.readouterr().err

    remote.start()
    assert run_command(main, ["sync"]) == 0
    assert capsys.readouterr().out == f"sent {result.parent.name}\n"
    assert run_command(main, ["sync"]) == 0
    assert capsys.readouterr().out == f"nothing to send: {remote.uri} has every recorded run\n"
    client, found = find_run("moons")
    assert found.info.status == "FINISHED"
    sent = {name for point in read_points(result.parent) for name in point["values"]}
    assert sent | json.loads(result.read_text())["metrics"].keys() == found.data.metrics.keys()
    assert {file.path for file in client.list_artifacts(found.info.run_id)} >= {"curves.parquet", "evaluations.npz"}


def test_a_server_killed_and_restarted_in_the_middle_gets_every_point_once(remote, monkeypatch):
    remote.start()
    experiment = small_moons(steps=60, log_every=1)
    destination = Destination("restarted")
    address(folder_of(experiment.hash), destination)
    arrived, mark = threading.Event(), Recording.mark

    def note(client):
        arrived.set()

    with Courier() as courier:

        def mark_and_send(self, status, message=""):
            mark(self, status, message)
            points = read_status(self.folder)["points"]
            courier.send(deliver, self.folder)
            if points >= 20 and not arrived.is_set():
                courier.send(note)  # after the points up to here
                assert arrived.wait(60)
                remote.kill()
            if points >= 50:
                remote.start()

        monkeypatch.setattr(Recording, "mark", mark_and_send)
        train_runs([experiment])
    assert courier.trouble == ""
    client, found = find_run("restarted")
    assert found.info.status == "FINISHED"
    assert curves_of(client, found.info.run_id) == recorded_curves(experiment)


def test_a_server_that_hangs_holds_up_neither_run_nor_end_and_gets_it_later(remote, monkeypatch):
    remote.start()
    monkeypatch.setattr(module, "REQUEST_TIMEOUT_S", 1)
    experiment = small_moons()
    address(folder_of(experiment.hash), Destination("hung"))
    remote.signal(signal.SIGSTOP)
    try:
        with Courier() as courier:
            train_runs([experiment])
            courier.send(deliver, folder_of(experiment.hash))
        assert courier.trouble == f"MLflow store {remote.uri} has not answered for 1 s"
        assert undelivered() == [folder_of(experiment.hash)]
    finally:
        remote.signal(signal.SIGCONT)
    assert run_command(main, ["sync"]) == 0
    client, found = find_run("hung")
    assert found.info.status == "FINISHED"
    assert curves_of(client, found.info.run_id) == recorded_curves(experiment)
