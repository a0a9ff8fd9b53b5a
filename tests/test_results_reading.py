from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.errors import BadInput
from experiments.record import names, sqlite
from experiments.record.store import Unreachable, open_client
from results.artifacts import fetch, read_curves, read_evaluations
from results.reading import RecordedRuns, list_experiments, read_runs, search


def read(name: str) -> RecordedRuns:
    return read_runs(open_client(create=False), name)


def addresses(name: str) -> dict[str, str]:
    return read(name).runs["artifacts"].to_dict()  # type: ignore[return-value]


def test_ended_runs_are_rows_and_the_others_are_counted(store: Path) -> None:
    recorded = read("toy")
    assert recorded.runs["status"].value_counts().to_dict() == {"finished": 15, "failed": 1}
    assert recorded.left_out == {"running": 1, "repeated": 1}
    run = recorded.runs.query("`param.pair` == 'near_to_far' and `param.method` == 'dann' and `param.seed` == '0'")
    assert list(run["metric.target_accuracy"]) == [0.7]  # the newest of two
    assert list(run["end"] - run["start"]) == [pd.Timedelta(seconds=1)]
    assert list(run["tag.pair_title"]) == ["near → far"]
    assert list(run[["data", "commit", "torch", "device"]].iloc[0]) == ["f00d", "0123456", "2.13.0", "cpu"]


def test_pages_of_the_store_are_read_to_the_end(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = open_client(create=False)
    whole = client.search_runs
    monkeypatch.setattr(sqlite, "SCHEMA", "another")
    monkeypatch.setattr(client, "search_runs", lambda *args, **options: whole(*args, max_results=4, **options))
    assert len(read_runs(client, "toy").runs) == 16


def test_the_file_is_read_as_the_client_reads_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = open_client(create=False)
    every = [each.experiment_id for each in client.search_experiments()]
    fast = search(client, every)
    monkeypatch.setattr(sqlite, "SCHEMA", "another")
    slow = search(client, every)
    assert len(fast) > 18
    assert [list(run) for run in fast] == [list(run) for run in slow]  # columns in the same order, too
    pd.testing.assert_frame_equal(pd.DataFrame(fast), pd.DataFrame(slow))


def test_experiments_are_listed(store: Path) -> None:
    listed = list_experiments(open_client(create=False)).set_index("name")
    assert list(listed.index) == ["a/b", "again", "broken", "toy", "unfinished"]
    assert tuple(listed.loc["toy", ["runs", "finished"]]) == (18, 16)
    assert tuple(listed.loc["unfinished", ["runs", "finished"]]) == (1, 0)
    assert pd.isna(listed.loc["unfinished", "last"])  # type: ignore[arg-type]


def test_an_unknown_name_is_answered_with_the_nearest(store: Path) -> None:
    with pytest.raises(
        BadInput, match=r"unknown experiment 'toi': did you mean 'toy'. allowed are a/b, again, broken, toy, unf"
    ):
        read_runs(open_client(create=False), "toi")


def test_nothing_finished_says_what_there_is(store: Path) -> None:
    with pytest.raises(BadInput, match=r"nothing to build 'unfinished' from: no finished run \(1 failed\)"):
        read_runs(open_client(create=False), "unfinished")


def test_an_experiment_without_runs_says_so(store: Path) -> None:
    with pytest.raises(BadInput, match=r"no finished run \(no run at all\)"):
        read_runs(open_client(create=False), "Default")


def test_a_run_that_failed_and_was_finished_later_is_finished(store: Path) -> None:
    assert read("again").runs["status"].tolist() == ["finished"]


def test_curves_and_evaluations_come_back(store: Path) -> None:
    places = addresses("toy")
    [failed] = read("toy").runs.query("status == 'failed'").index
    curves, problems = read_curves(places)
    assert problems == []
    assert set(curves["run_id"]) == set(places)
    counts = curves.groupby(["run_id", "metric"]).size()
    assert counts.eq(3).all()
    recorded = pd.read_parquet(fetch(failed, places[failed], names.CURVES))
    pd.testing.assert_frame_equal(
        curves[curves["run_id"] == failed].drop(columns="run_id").reset_index(drop=True), recorded
    )
    arrays = read_evaluations(failed, places[failed])
    assert arrays[names.FEATURES].shape == (3, 40, 4)
    assert set(np.unique(arrays[names.DOMAIN_LABELS])) == {0, 1}


def test_the_files_of_a_store_elsewhere_are_downloaded(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id, address = next(iter(addresses("toy").items()))
    local = fetch(run_id, address, names.CURVES)
    monkeypatch.setattr("mlflow.artifacts.download_artifacts", lambda artifact_uri, tracking_uri: str(local))
    assert fetch(run_id, "mlflow-artifacts:/1/2/artifacts", names.CURVES) == local


def test_damaged_and_missing_files_are_named(store: Path) -> None:
    places = addresses("broken")
    damaged, bare = places
    curves, problems = read_curves(places)
    assert curves.empty
    assert problems[0].startswith(f"curves.parquet of run {damaged} cannot be read: ")
    assert problems[1] == f"run {bare} has no curves.parquet in MLflow"
    with pytest.raises(Unreachable, match=rf"evaluations\.npz of run {damaged} cannot be read: "):
        read_evaluations(damaged, places[damaged])


def test_reading_never_creates_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GRL_RUNS", str(tmp_path))
    with pytest.raises(BadInput, match=r"no runs recorded yet: .*mlflow\.db does not exist; .*make demo"):
        open_client(create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_relative_address_with_options_is_understood(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db?timeout=5")
    assert len(read("toy").runs) == 16


def test_a_store_that_dies_later_is_one_line(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = open_client(create=False)

    def fail(*_args: object, **_options: object) -> None:
        raise ConnectionError("gone\nwith a long story")

    monkeypatch.setattr(client, "search_runs", fail)
    monkeypatch.setattr(sqlite, "SCHEMA", "another")
    with pytest.raises(Unreachable, match=r"^the MLflow store does not list its runs: gone$"):
        read_runs(client, "toy")


def test_several_experiments_are_one_and_the_empty_ones_are_named(store: Path) -> None:
    client = open_client(create=False)
    recorded = read_runs(client, "toy", "a/b", "nowhere", "Default")
    assert len(recorded.runs) == 16
    assert recorded.left_out == {"running": 1, "repeated": 2}  # the run of a/b repeats one of toy
    assert recorded.absent == ["nowhere", "Default"]
    with pytest.raises(BadInput, match=r"no run of nowhere, neither is recorded"):
        read_runs(client, "nowhere", "neither")


def test_only_runs_of_the_parameters_that_are_asked_for(store: Path) -> None:
    where = ["method=dann", "seed=1", "method=source_only"]  # any of the methods, and the seed
    recorded = read_runs(open_client(create=False), "toy", "Default", where=where)
    every = read("toy").runs
    wanted = every[every["param.method"].isin(["dann", "source_only"]) & (every["param.seed"] == "1")]
    assert 1 < len(wanted) < len(every)
    pd.testing.assert_frame_equal(recorded.runs[wanted.columns], wanted)  # columns come as their first run does
    assert recorded.left_out == {"other than method=dann seed=1 method=source_only": 18 - len(wanted)}
    assert recorded.absent == ["Default"]  # where no run is at all


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("dann", r"where must be PARAMETER=VALUE, such as method=dann, got 'dann'"),
        ("=dann", r"where must be PARAMETER=VALUE, such as method=dann, got '=dann'"),
        ("metod=dann", r"unknown parameter 'metod': did you mean 'method'\? allowed are .*method, .*pair"),
        ("method=dan", r"unknown method of these runs 'dan': did you mean 'dann'\? allowed are dann, source_only"),
    ],
)
def test_a_parameter_or_value_that_no_run_has_is_named(store: Path, word: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        read_runs(open_client(create=False), "toy", where=[word])
