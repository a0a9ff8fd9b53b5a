import contextlib
import json
import shutil
import threading
import time
import zlib
from base64 import b64decode

import pytest

from experiments.record import delivery, names
from experiments.record.delivery import Destination, address, deliver, deliver_all, ensure_experiment, undelivered
from experiments.record.files import read_json, write_json
from experiments.record.folder import Recording, folder_of
from experiments.record.store import Unreachable, open_client
from experiments.work import changes
from experiments.work.run import train_runs
from grl.schedules import InverseDecay
from results.reading import read_runs
from tests.support.recorded_curves import curves_of, recorded_curves
from tests.support.small_runs import after, small_moons

TOY = Destination("toy")


def send(client, experiment, destination=TOY):
    address(folder_of(experiment.hash), destination)
    deliver(client, folder_of(experiment.hash))


def runs_in(client, name="toy"):
    return client.search_runs([client.get_experiment_by_name(name).experiment_id])


def sent_files(experiment) -> set[str]:
    # The patch is there when the code under test is not committed.
    return {"curves.parquet", "evaluations.npz"} | {
        path.name for path in folder_of(experiment.hash).glob("changes.patch")
    }


def test_mlflow_has_everything_and_has_it_once(client):
    experiment = small_moons()
    train_runs([experiment])
    send(client, experiment)
    deliver(client, folder_of(experiment.hash))
    (folder_of(experiment.hash) / names.DELIVERIES).unlink()  # as if the process had died before it noted the delivery
    send(client, experiment)
    [found] = runs_in(client)
    assert found.data.params == experiment.flat()
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "dann s0 moons [moons]"
    assert found.data.tags[names.SETTING] == "dann moons [moons]"
    assert f"`python -m experiments run {experiment.hash}`" in found.data.tags["mlflow.note.content"]
    tags = read_json(folder_of(experiment.hash) / names.RUN)["tags"]
    assert tags.items() <= found.data.tags.items()
    assert found.data.tags["weights_sha256"] == read_json(folder_of(experiment.hash) / names.RESULT)["weights_sha256"]
    assert curves_of(client, found.info.run_id) == recorded_curves(experiment)
    assert {file.path for file in client.list_artifacts(found.info.run_id)} == sent_files(experiment)
    assert undelivered() == []


@pytest.mark.parametrize(
    ("method", "trained_on"),
    [
        ("source_only", {"Moons, source"}),
        ("dann", {"Moons, source", "Moons rotated by 35°, target"}),
        ("target_only", {"Moons rotated by 35°, target with labels"}),
    ],
)
def test_mlflow_shows_what_a_run_was_trained_on(client, method, trained_on):
    experiment = small_moons(method=method, steps=10)
    train_runs([experiment])
    send(client, experiment)
    [found] = runs_in(client)
    inputs = {each.dataset.name: each for each in found.inputs.dataset_inputs}
    assert inputs.keys() == trained_on
    for each in inputs.values():
        assert each.dataset.digest == found.data.tags["data_fingerprint"][:8]
        assert {tag.key: tag.value for tag in each.tags} == {"mlflow.data.context": "training"}
        assert json.loads(each.dataset.profile) == {"num_rows": 300}


def test_a_patch_of_the_code_goes_with_a_run_however_it_ends(client, monkeypatch):
    monkeypatch.setattr(changes, "uncommitted_changes", lambda: changes.Changes(b"the patch", ("code.py",)))
    experiment = small_moons(lr=InverseDecay(lr=1e30), log_every=1)
    train_runs([experiment])
    send(client, experiment)
    [found] = runs_in(client)
    assert [file.path for file in client.list_artifacts(found.info.run_id)] == ["changes.patch"]


def test_a_verdict_that_comes_after_the_first_delivery_arrives(client, monkeypatch):
    experiment, opened = small_moons(), Recording.__init__

    def open_and_send(self, *arguments):
        opened(self, *arguments)
        send(client, experiment)
        assert "verdict" not in runs_in(client)[0].data.tags

    monkeypatch.setattr(Recording, "__init__", open_and_send)
    train_runs([experiment])
    deliver(client, folder_of(experiment.hash))
    [found] = runs_in(client)
    assert found.data.tags["verdict"] == read_json(folder_of(experiment.hash) / names.RUN)["tags"]["verdict"]
    # What was said at the end is the run's description.
    health = read_json(folder_of(experiment.hash) / names.RESULT)["health"]
    assert found.data.tags[names.HEALTH] == health["status"] == "healthy"
    assert found.data.tags["mlflow.note.content"].endswith(health["report"].strip())


@pytest.fixture
def through_the_client(monkeypatch):
    """Everything goes through MLflow's client, as to a server."""
    monkeypatch.setattr(delivery, "write_run", lambda *arguments: None)


@pytest.mark.usefixtures("through_the_client")
def test_a_delivery_that_breaks_off_at_any_request_is_completed(client, monkeypatch):
    experiment = small_moons()
    train_runs([experiment])
    requests, requests_before_it_fails = [], 0

    def breaking(name):
        whole = getattr(type(client), name)

        def call(self, *arguments, **named):
            answer = whole(self, *arguments, **named)
            requests.append(name)
            if len(requests) == requests_before_it_fails:  # it arrived, the answer did not
                raise OSError("connection reset")
            return answer

        monkeypatch.setattr(type(client), name, call)

    calls = ("create_experiment", "create_run", "log_batch", "log_inputs", "log_artifact", "set_terminated")
    for name in calls:
        breaking(name)
    send(client, experiment, Destination("whole"))
    assert set(requests) == set(calls)
    for requests_before_it_fails in range(1, len(requests) + 1):
        requests.clear()
        destination = Destination(f"broken at {requests_before_it_fails}")
        with pytest.raises(Unreachable, match="connection reset"):
            send(client, experiment, destination)
        assert undelivered() == [folder_of(experiment.hash)]
        deliver(client, folder_of(experiment.hash))
        [found] = runs_in(client, destination.experiment)
        assert (found.info.status, found.data.params) == ("FINISHED", experiment.flat())
        assert len(found.inputs.dataset_inputs) == 2
        assert curves_of(client, found.info.run_id) == recorded_curves(experiment)
        assert {file.path for file in client.list_artifacts(found.info.run_id)} == sent_files(experiment)


def test_another_recording_of_the_same_experiment_is_another_run(client):
    experiment = small_moons()
    for _ in range(2):
        train_runs([experiment])
        send(client, experiment)
        shutil.rmtree(folder_of(experiment.hash))  # as on another machine
        time.sleep(0.002)  # a recording is known by its start in milliseconds
    found = runs_in(client)
    assert len(found) == 2
    for each in found:
        history = client.get_metric_history(each.info.run_id, names.TARGET_ACCURACY)
        assert [point.step for point in history] == [10, 20, 30]


@pytest.mark.usefixtures("through_the_client")
def test_a_store_that_breaks_off_again_and_again_gets_further_each_time(client, monkeypatch):
    monkeypatch.setattr(delivery, "POINTS_AT_ONCE", 2)
    experiment = small_moons()
    train_runs([experiment])
    whole = type(client).log_batch
    sent = []

    def take_one(self, run_id, metrics=(), **rest):
        if metrics and sent and sent[-1] is not None:
            sent.append(None)
            raise OSError("connection reset")
        sent.append(metrics or None)
        whole(self, run_id, metrics=metrics, **rest)

    monkeypatch.setattr(type(client), "log_batch", take_one)
    attempts = 0
    while attempts == 0 or undelivered():
        attempts += 1
        with contextlib.suppress(Unreachable):
            send(client, experiment)
    points = [metrics for metrics in sent if metrics]
    assert sum(map(len, points)) == sum(map(len, recorded_curves(experiment).values()))
    assert attempts == len(points)


def test_a_resumed_run_goes_on_in_its_curves(client):
    experiment = small_moons()
    with pytest.raises(KeyboardInterrupt):
        train_runs([experiment], must_stop=after(12))
    send(client, experiment)
    [found] = runs_in(client)
    assert found.info.status == "KILLED"
    assert found.data.tags["message"] == "interrupted"
    train_runs([experiment])
    assert undelivered() == [folder_of(experiment.hash)]
    deliver(client, folder_of(experiment.hash))
    [found] = runs_in(client)
    assert found.info.status == "FINISHED"
    assert found.data.tags["message"] == ""  # no longer why it had stopped
    assert curves_of(client, found.info.run_id) == recorded_curves(experiment)


@pytest.mark.usefixtures("through_the_client")
def test_a_resumed_run_goes_on_in_its_curves_over_http_too(client):
    test_a_resumed_run_goes_on_in_its_curves(client)


def test_a_failed_run_is_failed_and_its_second_try_is_another_run(client):
    experiment = small_moons(lr=InverseDecay(lr=1e30), log_every=1)
    curves = []
    for _ in range(2):
        train_runs([experiment])
        send(client, experiment)
        send(client, experiment)
        curves.append(recorded_curves(experiment))
        time.sleep(0.002)  # a recording is known by its start in milliseconds
    found = sorted(runs_in(client), key=lambda each: each.info.start_time)
    assert [each.info.status for each in found] == ["FAILED", "FAILED"]
    assert "pair moons; before the first checkpoint" in found[0].data.tags["message"]
    assert [curves_of(client, each.info.run_id) for each in found] == curves
    assert {} not in curves


@pytest.mark.usefixtures("through_the_client")
def test_a_second_try_is_another_run_of_a_store_over_http_too(client):
    test_a_failed_run_is_failed_and_its_second_try_is_another_run(client)


def test_one_run_in_two_experiments_and_below_parents(client):
    experiment = small_moons()
    train_runs([experiment])
    send(client, experiment)
    send(client, experiment, Destination("toy_sweep", ("toy_sweep", "trial 3")))
    assert len(runs_in(client)) == 1
    by_kind = {found.data.tags["kind"]: found for found in runs_in(client, "toy_sweep")}
    study, trial, leaf = by_kind["study"], by_kind["trial"], by_kind["run"]
    assert "mlflow.parentRunId" not in study.data.tags
    assert trial.data.tags["mlflow.parentRunId"] == study.info.run_id
    assert leaf.data.tags["mlflow.parentRunId"] == trial.info.run_id
    assert trial.data.tags["path"] == "toy_sweep/trial 3"
    assert curves_of(client, leaf.info.run_id) == recorded_curves(experiment)


def test_what_a_store_missed_is_known_per_store(client, monkeypatch):
    experiment = small_moons()
    train_runs([experiment])
    send(client, experiment)
    assert undelivered() == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert undelivered() == []  # never meant for that store
    address(folder_of(experiment.hash), TOY)
    assert undelivered() == [folder_of(experiment.hash)]


@pytest.mark.usefixtures("through_the_client")
def test_a_store_that_breaks_off_gets_the_rest_later(client, monkeypatch):
    experiment = small_moons()
    train_runs([experiment])
    whole = type(client).log_batch

    def break_off(self, run_id, metrics=(), **rest):
        if metrics:
            raise OSError("connection reset\nby peer")
        whole(self, run_id, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(type(client), "log_batch", break_off)
        with pytest.raises(Unreachable) as caught:
            send(client, experiment)
    assert str(caught.value) == (
        f"MLflow store {names.tracking_uri()} did not take run {experiment.hash}: connection reset"
    )
    assert undelivered() == [folder_of(experiment.hash)]
    deliver(client, folder_of(experiment.hash))
    [found] = runs_in(client)
    assert curves_of(client, found.info.run_id) == recorded_curves(experiment)


def test_a_run_that_has_not_begun_is_not_sent(client):
    address(folder_of(small_moons().hash), TOY)
    deliver(client, folder_of(small_moons().hash))
    assert client.get_experiment_by_name("toy") is None
    assert undelivered() == []


def test_results_cut_short_by_a_crash_are_not_delivered_as_finished(client):
    experiment = small_moons()
    train_runs([experiment])
    folder = folder_of(experiment.hash)
    write_json(folder / names.STATUS, read_json(folder / names.STATUS) | {"status": "RUNNING"})
    send(client, experiment)
    assert runs_in(client)[0].info.status == "RUNNING"


def test_a_store_that_was_deleted_replaced_or_restored_is_filled_again(client, runs, migrated_store):
    first, second = small_moons(), small_moons(seed=1)
    path, backup = runs / "mlflow.db", runs / "backup.db"
    train_runs([first, second])
    send(client, first)
    shutil.copy(path, backup)
    send(client, second, Destination("toy", ("sweep", "trial 0")))
    folders = [folder_of(experiment.hash) for experiment in (first, second)]
    for store in (migrated_store, backup):
        assert undelivered() == []
        shutil.copy(store, path)
        fresh = open_client()
        deliver_all(fresh, folders)
        by_hash = {found.data.tags["hash"]: found for found in runs_in(fresh) if found.data.tags["kind"] == "run"}
        assert by_hash.keys() == {first.hash, second.hash}
        for experiment in (first, second):
            found = by_hash[experiment.hash]
            assert found.info.status == "FINISHED"
            assert curves_of(fresh, found.info.run_id) == recorded_curves(experiment)
            assert {file.path for file in fresh.list_artifacts(found.info.run_id)} == sent_files(experiment)
    assert len(runs_in(fresh)) == 4  # both, the study and the trial


def test_a_restored_store_gets_the_rest_of_a_run_that_it_has_in_part(client, runs):
    experiment = small_moons()
    with pytest.raises(KeyboardInterrupt):
        train_runs([experiment], must_stop=after(12))
    send(client, experiment)
    shutil.copy(runs / "mlflow.db", runs / "backup.db")
    train_runs([experiment])
    deliver(client, folder_of(experiment.hash))
    shutil.copy(runs / "backup.db", runs / "mlflow.db")
    fresh = open_client()
    deliver(fresh, folder_of(experiment.hash))
    [found] = runs_in(fresh)
    assert found.info.status == "FINISHED"
    assert curves_of(fresh, found.info.run_id) == recorded_curves(experiment)


def test_an_experiment_that_a_person_has_deleted_in_mlflow_is_named_with_the_way_back(client):
    experiment, fresh = small_moons(steps=10), small_moons(steps=10, seed=1)
    train_runs([experiment, fresh])
    send(client, experiment)
    number = client.get_experiment_by_name("toy").experiment_id
    client.delete_experiment(number)
    with pytest.raises(
        Unreachable, match=r"'toy' was deleted in MLflow; .* experiments restore --experiment-id " + number
    ):
        send(open_client(), fresh)
    with pytest.raises(Unreachable, match="'toy' was deleted in MLflow"):
        read_runs(client, "toy")
    client.restore_experiment(number)
    send(client, fresh)
    assert len(runs_in(client)) == 2
    assert undelivered() == []


def test_a_run_that_a_person_has_deleted_in_mlflow_stays_deleted(client):
    experiment = small_moons()
    train_runs([experiment])
    send(client, experiment)
    client.delete_run(runs_in(client)[0].info.run_id)
    send(client, experiment)
    assert runs_in(client) == []


@pytest.mark.usefixtures("through_the_client")
def test_nobody_waits_for_a_delivery_but_who_delivers(client, monkeypatch):
    """A store that hangs must not hold up who only notes where a run belongs."""
    experiment = small_moons()
    train_runs([experiment])
    folder, hangs, go_on = folder_of(experiment.hash), threading.Event(), threading.Event()
    address(folder, TOY)
    whole = type(client).log_batch

    def hang(self, *arguments, **named):
        hangs.set()
        assert go_on.wait(60)
        whole(self, *arguments, **named)

    monkeypatch.setattr(type(client), "log_batch", hang)
    thread = threading.Thread(target=deliver, args=(client, folder))
    thread.start()
    assert hangs.wait(60)
    address(folder, Destination("another"))
    monkeypatch.setattr(delivery, "REQUEST_TIMEOUT_S", 0.1)
    with pytest.raises(Unreachable, match=f"^another process is sending run {experiment.hash}$"):
        deliver(client, folder)
    go_on.set()
    thread.join()
    assert undelivered() == [folder]  # for the other destination, which was not lost
    deliver(client, folder)
    assert len(runs_in(client)) == len(runs_in(client, "another")) == 1


def test_what_has_all_been_delivered_is_looked_at_without_writing(client, monkeypatch):
    experiment = small_moons()
    train_runs([experiment])
    send(client, experiment)
    for module in ("deliveries", "delivery"):
        monkeypatch.setattr(f"experiments.record.{module}.locked", lambda path: pytest.fail(f"locked {path}"))
    monkeypatch.setattr("experiments.record.files.write_atomically", lambda path, *a, **k: pytest.fail(f"wrote {path}"))
    send(client, experiment)
    assert undelivered() == []


def test_two_deliverers_at_once_make_one_study(client, monkeypatch):
    experiments = [small_moons(seed=seed) for seed in range(2)]
    train_runs(experiments)
    search = type(client).search_runs

    def search_slowly(self, *arguments, **named):
        found = search(self, *arguments, **named)
        time.sleep(0.2)  # in which the other one looks, too
        return found

    monkeypatch.setattr(type(client), "search_runs", search_slowly)
    threads = [
        threading.Thread(target=send, args=(client, each, Destination("toy", ("sweep", f"trial {each.seed}"))))
        for each in experiments
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kinds = sorted(found.data.tags["kind"] for found in runs_in(client))
    assert kinds == ["run", "run", "study", "trial", "trial"]


def test_a_new_experiment_says_how_its_runs_are_compared_and_offers_views(client):
    experiment_id = ensure_experiment(client, "views")
    tags = client.get_experiment(experiment_id).tags
    assert "python -m results build views" in tags["mlflow.note.content"]
    views = {json.loads(value)["name"]: json.loads(value)["state"] for key, value in tags.items() if "View" in key}
    assert list(views) == ["every run", "mean over seeds", "pick what to compare"]
    # As MLflow's page packs its state: zlib, then base64, behind the name of the method.
    pages = {
        name: json.loads(zlib.decompress(b64decode(state.removeprefix("deflate;")))) for name, state in views.items()
    }
    assert "metrics.`target_accuracy`" in pages["every run"]["selectedColumns"]
    assert pages["mean over seeds"]["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": names.SETTING}]
