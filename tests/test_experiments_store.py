import pytest

from experiments.__main__ import main
from experiments.errors import BadInput, run_command
from experiments.record import store
from experiments.record.store import check_tracking_uri


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
