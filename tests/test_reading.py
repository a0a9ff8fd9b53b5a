from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.errors import BadInput
from results.artifacts import read_curves, read_features
from results.reading import list_experiments, read_runs
from results.store import answering, open_store


def run_ids(name: str) -> list[str]:
    return [str(run_id) for run_id in read_runs(open_store(), name).runs.index]


def test_finished_runs_are_rows_and_the_others_are_counted(store: Path) -> None:
    recorded = read_runs(open_store(), "toy")
    assert len(recorded.runs) == 15
    assert recorded.left_out == {"failed": 1, "running": 1, "repeated": 1}
    run = recorded.runs.query("`param.pair` == 'near_to_far' and `param.method` == 'dann' and `param.seed` == '0'")
    assert list(run["metric.selected_target_accuracy"]) == [0.7]  # the newest of two
    assert list(run["end"] - run["start"]) == [pd.Timedelta(seconds=1)]
    assert list(run["tag.pair_title"]) == ["near → far"]


def test_pages_of_the_store_are_read_to_the_end(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = open_store()
    whole = client.search_runs
    monkeypatch.setattr(client, "search_runs", lambda *args, **options: whole(*args, max_results=4, **options))
    assert len(read_runs(client, "toy").runs) == 15


def test_experiments_are_listed(store: Path) -> None:
    listed = list_experiments(open_store()).set_index("name")
    assert list(listed.index) == ["a/b", "broken", "toy", "unfinished"]
    assert tuple(listed.loc["toy", ["runs", "finished"]]) == (18, 16)
    assert tuple(listed.loc["unfinished", ["runs", "finished"]]) == (1, 0)
    assert pd.isna(listed.loc["unfinished", "last"])  # type: ignore[arg-type]


def test_an_unknown_name_is_answered_with_the_nearest(store: Path) -> None:
    with pytest.raises(
        BadInput, match=r"unknown experiment 'toi': did you mean 'toy'. allowed are a/b, broken, toy, unf"
    ):
        read_runs(open_store(), "toi")


def test_nothing_finished_says_what_there_is(store: Path) -> None:
    with pytest.raises(BadInput, match=r"nothing to build 'unfinished' from: no finished run \(1 failed\)"):
        read_runs(open_store(), "unfinished")


def test_an_experiment_without_runs_says_so(store: Path) -> None:
    with pytest.raises(BadInput, match=r"no finished run \(no run at all\)"):
        read_runs(open_store(), "Default")


def test_curves_and_features_come_back(store: Path) -> None:
    ids = run_ids("toy")
    curves, problems = read_curves(open_store(), ids)
    assert problems == []
    assert set(curves["run_id"]) == set(ids)
    assert curves.groupby(["run_id", "metric"]).size().eq(3).all()
    sample = read_features(open_store(), ids[0])
    assert [(name, values.shape) for name, values in sample.items()] == [
        ("features", (40, 4)), ("labels", (40,)), ("domain_labels", (40,)),
    ]  # fmt: skip
    assert set(np.unique(sample["domain_labels"])) == {0, 1}


def test_damaged_and_missing_files_are_named(store: Path) -> None:
    damaged, bare = run_ids("broken")
    curves, problems = read_curves(open_store(), [damaged, bare])
    assert curves.empty
    assert problems[0].startswith(f"curves.parquet of run {damaged} cannot be read: ")
    assert problems[1] == f"run {bare} has no curves.parquet in MLflow"
    with pytest.raises(BadInput, match=rf"features\.npz of run {damaged} cannot be read: "):
        read_features(open_store(), damaged)


def test_reading_never_creates_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GRL_RUNS", str(tmp_path))
    with pytest.raises(BadInput, match=r"no runs recorded yet: .*mlflow\.db does not exist; .*make demo"):
        open_store()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/notes.txt")
    (tmp_path / "notes.txt").write_text("shopping: milk, bread, butter\n" * 50)
    with pytest.raises(BadInput, match=r"MLflow store .*notes\.txt cannot be read: file is not a database"):
        open_store()


def test_a_relative_address_with_options_is_understood(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db?timeout=5")
    assert len(read_runs(open_store(), "toy").runs) == 15


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "ftp://nowhere", "postgresql://127.0.0.1:9/none"])
def test_a_store_that_cannot_be_reached_is_one_line(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(BadInput, match=f"MLflow store {uri} cannot be reached: .") as raised:
        open_store()
    assert "\n" not in str(raised.value)


def test_a_store_that_dies_later_is_one_line(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = open_store()

    def fail(*_args: object, **_options: object) -> None:
        raise ConnectionError("gone\nwith a long story")

    monkeypatch.setattr(client, "search_runs", fail)
    with pytest.raises(BadInput, match=r"^the MLflow store does not list its runs: gone$"):
        read_runs(client, "toy")


def test_an_error_without_words_is_named_by_its_class() -> None:
    with pytest.raises(BadInput, match=r"^it broke: KeyError$"), answering("it broke"):
        raise KeyError
