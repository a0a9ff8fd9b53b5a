import math
import sqlite3

import pytest

from experiments.record import delivery, names, sqlite
from experiments.record.delivery import Destination, address, deliver, undelivered
from experiments.record.folder import Recording, folder_of
from experiments.record.store import Unreachable
from experiments.work import changes
from experiments.work.run import train_runs
from tests.support.small_runs import after, small_moons

TOY = Destination("toy", ("sweep", "trial 3"))


def send(client, experiment, destination=TOY):
    address(folder_of(experiment.hash), destination)
    deliver(client, folder_of(experiment.hash))


def read_all(client, name) -> list:
    """Everything that MLflow says of the runs of an experiment, without its own ids."""
    told = []
    experiment_id = client.get_experiment_by_name(name).experiment_id
    found = client.search_runs([experiment_id])
    titles = {run.info.run_id: run.info.run_name for run in found}
    for run in found:
        if run.info.status == "RUNNING":  # the client leaves the end of an earlier life
            run.info._end_time = None
        tags = dict(run.data.tags)
        tags["mlflow.parentRunId"] = titles.get(tags.get("mlflow.parentRunId"))
        history = {
            key: [(m.step, m.timestamp, repr(m.value)) for m in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
        }
        told.append(
            {
                "info": {
                    key: value
                    for key, value in dict(run.info).items()
                    if key not in ("run_id", "run_uuid", "experiment_id", "artifact_uri", "start_time", "end_time")
                    or (run.data.tags["kind"] == "run" and key.endswith("time"))
                },
                "artifacts": sorted((file.path, file.file_size) for file in client.list_artifacts(run.info.run_id)),
                "place": run.info.artifact_uri.replace(run.info.run_id, "ID"),
                "params": run.data.params,
                "tags": tags,
                "latest": {key: repr(value) for key, value in run.data.metrics.items()},
                "history": history,
                "inputs": sorted((repr(dict(each.dataset)), repr(each.tags)) for each in run.inputs.dataset_inputs),
            }
        )
    return sorted(told, key=lambda each: each["info"]["run_name"])


@pytest.fixture
def experiment(runs, monkeypatch):
    """A finished run with what is rare: values that are not finite, a patch, two values at one step."""
    log = Recording.log

    def log_more(self, step, values):
        log(self, step, values)
        odd = {10: math.nan, 20: math.inf, 30: -math.inf}.get(step, 0.5)
        self._pending.append(
            f'{{"step": {step}, "time_ms": 1700000000000, "values": {{"odd": {odd!r}}}}}\n'.replace(
                "nan", "NaN"
            ).replace("inf", "Infinity")
        )

    monkeypatch.setattr(Recording, "log", log_more)
    monkeypatch.setattr(changes, "uncommitted_changes", lambda: changes.Changes(b"the patch", ("code.py",)))
    train_runs([small_moons()])
    return small_moons()


def test_the_same_is_there_as_through_the_client(client, experiment, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(type(client), "create_run", lambda *a, **k: pytest.fail("took the client"))
        send(client, experiment, Destination("a"))
    send(client, small_moons(), Destination("c", TOY.parents))
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "write_run", lambda *arguments: None)
        send(client, experiment, Destination("b"))
        send(client, small_moons(), Destination("d", TOY.parents))
    assert read_all(client, "a") == read_all(client, "b")
    assert read_all(client, "c") == read_all(client, "d")
    [told] = read_all(client, "a")
    assert told["latest"]["odd"] == "-1.7976931348623157e+308"
    assert len(told["inputs"]) == 2
    assert undelivered() == []


def count_rows() -> dict[str, int]:
    with sqlite3.connect(names.sqlite_path()) as database:
        tables = ("runs", "tags", "params", "metrics", "latest_metrics", "inputs", "datasets", "input_tags")
        return {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


def test_a_life_in_many_deliveries_is_the_same_as_through_the_client(client, monkeypatch):
    """Live, killed, resumed and finished: at every mark it is sent to both, and both are asked at every one."""
    wrote, mark, compared = sqlite.write_run, Recording.mark, []
    experiment = small_moons()
    folder = folder_of(experiment.hash)
    delivery.ensure_experiment(client, "slow")
    slow = client.get_experiment_by_name("slow").experiment_id

    def write(experiment_id, *arguments):
        return None if experiment_id == slow else wrote(experiment_id, *arguments)

    def mark_and_compare(self, status, message=""):
        mark(self, status, message)
        for name in ("slow", "quick"):
            send(client, experiment, Destination(name))
        assert read_all(client, "slow") == read_all(client, "quick")
        [told] = read_all(client, "quick")
        compared.append((told["info"]["status"], len(told["history"].get("label_loss", []))))

    monkeypatch.setattr(delivery, "write_run", write)
    monkeypatch.setattr(Recording, "mark", mark_and_compare)
    with pytest.raises(KeyboardInterrupt):
        train_runs([experiment], must_stop=after(12))
    train_runs([experiment])
    assert compared == [
        *(("RUNNING", 0), ("RUNNING", 2), ("RUNNING", 2), ("KILLED", 2)),
        *(("RUNNING", 2), ("RUNNING", 4), ("RUNNING", 6), ("FINISHED", 6)),
    ]
    assert read_all(client, "quick")[0]["tags"]["resumed"] == "true"
    assert (folder / names.RESULT).exists()


def test_it_is_there_whole_or_not_at_all(client, experiment, monkeypatch):
    delivery.ensure_experiment(client, "broken")
    address(folder_of(experiment.hash), Destination("broken"))
    before, rows, stop, is_over = count_rows(), sqlite._rows, 0, False

    def break_off(*arguments):
        nonlocal is_over
        for place, table in enumerate(rows(*arguments)):
            if place == stop:
                raise sqlite3.OperationalError("disk I/O error")
            yield table
        is_over = True

    monkeypatch.setattr(sqlite, "_rows", break_off)
    while True:
        try:
            deliver(client, folder_of(experiment.hash))
        except Unreachable:
            assert count_rows() == before
            stop += 1
        else:
            break
    assert (is_over, stop) == (True, 11)  # 5 tables, and 3 for each of two data sets
    assert undelivered() == []


@pytest.mark.parametrize("first_through_the_client", [True, False])
def test_a_run_that_was_begun_before_is_completed_and_not_doubled(client, monkeypatch, first_through_the_client):
    experiment = small_moons()
    with pytest.raises(KeyboardInterrupt):
        train_runs([experiment], must_stop=after(12))
    with monkeypatch.context() as patch:
        if first_through_the_client:
            patch.setattr(delivery, "write_run", lambda *arguments: None)
        send(client, experiment)
    train_runs([experiment])
    (folder_of(experiment.hash) / names.DELIVERIES).unlink()  # as if nothing had been noted
    send(client, experiment)
    [told] = [each for each in read_all(client, "toy") if each["tags"]["kind"] == "run"]
    assert told["info"]["status"] == "FINISHED"
    assert [step for step, *_ in told["history"]["label_loss"]] == [5, 10, 15, 20, 25, 30]


@pytest.mark.parametrize("reason", ["schema", "location", "length"])
def test_what_is_not_as_usual_goes_through_the_client(client, runs, monkeypatch, reason):
    experiment = small_moons()
    train_runs([experiment])
    if reason == "schema":
        monkeypatch.setattr(sqlite, "SCHEMA", "another")
    if reason == "location":
        client.create_experiment("toy", artifact_location=str(runs / "plain path"))
    if reason == "length":
        monkeypatch.setattr(sqlite, "LONGEST_TAG", 10)
    created, whole = [], type(client).create_run
    monkeypatch.setattr(type(client), "create_run", lambda *a, **k: created.append(1) or whole(*a, **k))
    send(client, experiment, Destination("toy"))
    assert created == [1]
    assert read_all(client, "toy")[0]["info"]["status"] == "FINISHED"


def test_the_tables_of_the_pinned_mlflow_are_those_that_it_was_written_for(client):
    with sqlite3.connect(names.sqlite_path()) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(sqlite.SCHEMA,)]


def test_runs_are_read_as_the_client_reads_them(client):
    other, toy = (client.create_experiment(name) for name in ("other", "toy"))
    for number, (experiment_id, kind) in enumerate([(toy, "run"), (toy, "run"), (other, "run"), (toy, "trial")]):
        run_id = client.create_run(experiment_id, start_time=7 - number // 2, tags={names.KIND: kind}).info.run_id
        client.log_param(run_id, "b", "None")
        client.log_param(run_id, "a", number)
        for step, value in enumerate((number, math.nan, -math.inf, math.inf)[: number + 1]):
            client.log_metric(run_id, "z", value, step=step)
    client.delete_run(client.create_run(toy, tags={names.KIND: "run"}).info.run_id)
    client.set_terminated(client.create_run(toy, tags={names.KIND: "run"}).info.run_id, "FAILED")

    for asked in ([toy], [other], [toy, other], []):
        for kind in ("run", "trial", "study"):
            found = sqlite.read_runs(asked, kind)
            expected = client.search_runs(asked, f"tags.kind = '{kind}'", order_by=["start_time ASC"]) if asked else []
            assert [run["run_id"] for run in found] == [run.info.run_id for run in expected]
            for run, whole in zip(found, expected, strict=True):
                parts = {"params": whole.data.params, "metrics": whole.data.metrics, "tags": whole.data.tags}
                assert {name: repr(run.pop(name)) for name in parts} == {n: repr(part) for n, part in parts.items()}
                assert run == {name: dict(whole.info)[name] for name in run}
