import threading

import pytest

from experiments import delivery as module
from experiments import record
from experiments.delivery import Delivery
from experiments.errors import BadInput
from experiments.recording import folder_of
from experiments.running import run
from experiments.tracking import Destination, Unreachable, address, deliver, undelivered
from tests.small_runs import small_moons

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
    with Delivery() as delivery:
        delivery.send(store, "first")
        store.wait_for_calls(6)
    assert delivery.trouble == ""
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
    with Delivery() as delivery:
        delivery.send(store, "first")
        store.wait_for_calls(1)
    assert (delivery.trouble, store.calls, len(attempts)) == ("", ["first"], 3)


def test_the_end_makes_one_last_attempt_and_says_what_did_not_arrive(client, monkeypatch):
    for name in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S"):
        monkeypatch.setattr(module, name, 600.0)  # nothing but the end itself tries again
    lost, late = Store(failures=9), Store(failures=1)
    with Delivery() as delivery:
        delivery.send(lost, "lost")
        lost.wait_for_calls(1)
        for name in ("late", "more", "late"):
            delivery.send(late, name)
        delivery.send(lost, "gone")
    assert delivery.trouble == "lost is lost (and 2 more)"
    assert lost.calls == ["lost", "gone", "lost"]  # the newer first
    assert late.calls == ["late", "more"]  # each once, however often it was sent


def test_news_of_a_job_under_way_are_sent_too(client):
    started, go_on = threading.Semaphore(0), threading.Semaphore(0)
    calls = []

    def job(client):
        calls.append(1)
        started.release()
        assert go_on.acquire(timeout=60)

    with Delivery() as delivery:
        delivery.send(job)
        assert started.acquire(timeout=60)
        for _ in range(3):
            delivery.send(job)
        go_on.release(2)
    assert (len(calls), delivery.trouble) == (2, "")


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

    with Delivery() as delivery:
        delivery.send(slow)
    assert (slow_is_done, delivery.trouble) == ([True], "")
    with Delivery() as delivery:
        delivery.send(lambda client: released.wait(60))
        delivery.send(slow)
    assert delivery.trouble == "MLflow store http://127.0.0.1:9 has not answered for 1.5 s (and 1 more)"
    assert len(slow_is_done) == 1
    released.set()


def test_what_an_earlier_command_could_not_deliver_goes_along(client):
    experiment = small_moons()
    run(experiment)
    address(folder_of(experiment), TOY)
    assert undelivered() == [folder_of(experiment)]
    with Delivery() as delivery:
        pass
    assert (delivery.trouble, undelivered()) == ("", [])


def test_a_damaged_run_is_no_trouble_of_others(client):
    good, bad = small_moons(), small_moons(seed=1)
    for experiment in (good, bad):
        run(experiment)
        address(folder_of(experiment), TOY)
    (folder_of(bad) / record.DELIVERIES).write_text("{")
    with Delivery() as delivery:
        delivery.send(deliver, folder_of(good))
    assert delivery.trouble == ""
    with Delivery() as delivery:
        delivery.send(deliver, folder_of(bad))
    assert "deliveries.json is not readable JSON" in delivery.trouble
    [found] = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert found.data.tags["hash"] == good.hash


def test_a_uri_that_no_store_can_have_is_said_before_anything_starts(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "htp://x")
    with pytest.raises(BadInput, match="scheme 'htp' is unknown"):
        Delivery()
