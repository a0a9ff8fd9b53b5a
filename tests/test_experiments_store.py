import contextlib
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from experiments.__main__ import main
from experiments.errors import BadInput, run_command
from experiments.record import names, store
from experiments.record.delivery import Destination, address, deliver
from experiments.record.folder import folder_of
from experiments.record.store import check_tracking_uri, first_line, open_client
from experiments.work.changes import Changes
from experiments.work.run import train_runs
from tests.support.small_runs import small_moons
from tests.support.small_workers import Inline


@pytest.mark.parametrize(
    ("uri", "wrong"),
    [
        ("htp://x", "scheme 'htp' is unknown"),
        ("mysql//", "there is no scheme"),
        ("localhost:5000", "there is no scheme"),
        ("/somewhere/mlruns", "there is no scheme"),
        ("file:///somewhere/mlruns", "scheme 'file' is unknown"),
        ("http://", "the host is empty"),
        ("http://:5000", "the host is empty"),
        ("http://localhost:99999", "Port out of range 0-65535"),
        ("http://localhost:0", "the port must be 1 to 65535"),
        ("http://localhost:five", "Port could not be cast to integer value as 'five'"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://local host", "it contains a space"),
        ("http://localhost:5000\n", "it contains a space"),
        ("postgresql://user:word@:5432/mlflow", "the host is empty"),
        ("sqlite://", "there is no path of a file"),
        ("sqlite:///", "there is no path of a file"),
        ("sqlite://mlflow.db", "there is no path of a file"),
        ("sqlite:mlflow.db", "there is no scheme"),
    ],
)
def test_a_tracking_uri_that_no_store_can_have_is_said_before_training(runs, uri, wrong, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(BadInput) as caught:
        check_tracking_uri()
    assert str(caught.value) == (
        "MLFLOW_TRACKING_URI must be sqlite:///path or one of http://host, https://host, postgresql://host, "
        f"mysql://host, mssql://host, got {uri.replace('user:word@', '')!r}: {wrong}"
    )
    assert run_command(main, ["run", "moons"]) == 2
    assert capsys.readouterr().err == f"error: {caught.value}\n"
    assert not list(runs.glob("*/status.json"))


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost:5000",
        "https://user:word@mlflow.example.org/under/a/path",
        "http://[::1]:5000",
        "postgresql://user:word@db/mlflow",
        "mysql+pymysql://db:3306/mlflow",
        "sqlite:///relative.db",
        "sqlite:////absolute/with a space.db",
        "databricks",
    ],
)
def test_a_tracking_uri_that_a_store_can_have_is_taken(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    check_tracking_uri()


def test_every_kind_of_store_that_mlflow_knows_is_allowed():
    from mlflow.store.db.db_types import DATABASE_ENGINES

    assert {*DATABASE_ENGINES} == {*store.DATABASES, "sqlite"}


def test_a_store_whose_making_was_killed_is_made_by_the_next_command(runs, migrated_store, monkeypatch):
    """Whatever is left behind lies under another name."""
    path = runs / "mlflow.db"

    class Killed:
        def __init__(self, tracking_uri):
            self.path = tracking_uri.removeprefix("sqlite:///")

        def search_experiments(self, max_results):
            with sqlite3.connect(self.path) as database:
                database.execute("CREATE TABLE jobs (id)")
            raise KeyboardInterrupt

    class Whole(Killed):
        def search_experiments(self, max_results):
            shutil.copy(migrated_store, self.path)

    store.import_mlflow()
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient", Killed)
        with pytest.raises(KeyboardInterrupt):
            open_client()
    assert not path.exists()
    (runs / ".mlflow.db.left").mkdir()  # as after kill -9
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient", Whole)
        open_client()
    assert open_client().search_experiments()


@pytest.mark.parametrize(
    ("statements", "what"),
    [
        (["CREATE TABLE jobs (id)"], "was left half made (no run is in it); move it away and give the command again"),
        (
            ["CREATE TABLE runs (id)", "INSERT INTO runs VALUES (1)", "CREATE TABLE alembic_version (version_num)"],
            "was left half made (it holds 1 runs: keep a copy); move it away and give the command again",
        ),
        (None, "cannot be read: file is not a database"),
    ],
    ids=["tables", "runs", "no database"],
)
def test_a_half_made_store_is_said_and_left_alone(runs, statements, what):
    runs.mkdir()
    path = runs / "mlflow.db"
    if statements is None:
        path.write_bytes(b"something else " * 100)
    else:
        with contextlib.closing(sqlite3.connect(path)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()
    before = path.read_bytes()
    with pytest.raises(BadInput, match=re.escape(f"MLflow store {path} {what}")):
        open_client()
    assert path.read_bytes() == before


def test_a_path_of_the_runs_may_have_odd_characters_but_no_question_mark(tmp_path, migrated_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "why?"))
    with pytest.raises(BadInput, match=r"^GRL_RUNS must be a folder without \? in its path"):
        open_client()
    odd = tmp_path / "50% of [é] #1 & more"
    odd.mkdir()
    shutil.copy(migrated_store, odd / "mlflow.db")
    monkeypatch.setenv("GRL_RUNS", str(odd))
    experiment = small_moons(steps=10)
    train_runs([experiment])
    address(folder_of(experiment.hash), Destination("toy"))
    deliver(client := open_client(), folder_of(experiment.hash))
    [found] = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    path = client.download_artifacts(found.info.run_id, "curves.parquet")
    assert Path(path).read_bytes() == (folder_of(experiment.hash) / "curves.parquet").read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == [odd.name]


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:s3cr%40t@host/path", "https://host/path"),
        ("postgresql://user:s3/cr@t@host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://host/db?user=me&password=s3cret", "postgresql://host/db?user=…&password=…"),
        ("http://localhost:5000", "http://localhost:5000"),
    ],
)
def test_a_tracking_uri_is_shown_without_its_secrets_wherever_it_turns_up(uri, shown, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert names.shown_uri() == shown
    secrets = [each for each in ("s3cr%40t", "s3cr@t", "s3/cr@t", "s3cret") if each in uri + unquote(uri)]
    for text in (f"no answer from {uri}/api", *(f"login {each} refused" for each in secrets)):
        said = first_line(RuntimeError(f"(psycopg2.Error) {text}\nand more"))
        if shown != uri:
            assert not any(each in said for each in secrets)
        assert "psycopg2" not in said


def test_no_secret_of_the_store_is_written_or_said(runs, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:s3cret@127.0.0.1:9")
    monkeypatch.setattr("experiments.work.pools.Local", lambda *arguments: Inline())
    for module in ("changes", "driver"):  # a patch of this file would hold the word
        monkeypatch.setattr(f"experiments.work.{module}.uncommitted_changes", Changes)
    for line in ("run moons --steps 10 --evaluate-every 10 --log-every 5", "sync"):
        assert run_command(main, line.split()) in (1, 2)
    called = []
    monkeypatch.setattr("subprocess.call", lambda command, **how: called.append(command) or 0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://user:s3cret@host/db")
    assert run_command(main, ["ui"]) == 0
    said = capfd.readouterr()
    assert "not in MLflow: MLflow store http://127.0.0.1:9 cannot be reached" in said.out
    assert "error: MLflow store http://127.0.0.1:9 cannot be reached" in said.err
    written = [path.read_bytes() for path in runs.rglob("*") if path.is_file()]
    texts = [*written, said.out.encode(), said.err.encode()]
    assert [text for text in texts if b"s3cret" in text] == []
    assert "s3cret" not in str(called)


def test_a_write_that_was_killed_is_undone_by_the_next_command(client, runs):
    """What a killed writer leaves is a journal beside the store; the store is then opened as it was before."""
    path = runs / "mlflow.db"
    code = (
        "import os, signal, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('PRAGMA cache_size = 1')\n"
        "database.execute('BEGIN IMMEDIATE')\n"
        "for number in range(5000):\n"
        "    database.execute('INSERT INTO experiment_tags VALUES (?, ?, 0)', (f'k{number}', 'x' * 200))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)])
    assert path.with_name("mlflow.db-journal").stat().st_size > 0
    assert open_client().get_experiment("0") is not None
