"""A store of made-up recorded runs, as fixtures that conftest.py hands to every test file."""

import warnings
from pathlib import Path

import pytest

from tests.support.recorded_runs import describe_run, write_run

TARGETS = {
    ("near_to_far", "source_only"): (0.5, 0.6, 0.7),
    ("near_to_far", "dann"): (0.7, 0.9, 0.8),
    ("near_to_far", "target_only"): (1.0, 1.0, 1.0),
    ("left_to_right", "source_only"): (0.50, 0.52, 0.51),
    ("left_to_right", "dann"): (0.70, 0.73, 0.70),
}


@pytest.fixture(scope="session")
def recorded_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an MLflow store with made-up runs; creating one takes seconds, so all tests share it.

    Experiment toy: `TARGETS`, and beside them a failed run, a running one and an older repetition. Experiment broken:
    a run whose files cannot be read and one without curves. Experiment unfinished: one failed run. Experiment a/b: one
    run. Experiment again: one run that failed and then was finished.
    Experiment swept: a study with one trial.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside MLflow's own imports
        from mlflow import MlflowClient
    root = tmp_path_factory.mktemp("store")
    files = tmp_path_factory.mktemp("files")
    client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")

    def experiment(name: str) -> str:
        return client.create_experiment(name, artifact_location=(root / "artifacts").as_uri())

    toy = experiment("toy")
    write_run(client, toy, describe_run("near_to_far", "dann", 0, 0.1), files, start_ms=1_700_000_000_000)
    for (pair, method), targets in TARGETS.items():
        for seed, target in enumerate(targets):
            write_run(client, toy, describe_run(pair, method, seed, target), files)
    write_run(client, toy, describe_run("near_to_far", "dann", 3, 0.2), files, status="FAILED")
    write_run(client, toy, describe_run("near_to_far", "dann", 4, 0.2), files, status="RUNNING")
    broken = describe_run("near_to_far", "dann", 0, 0.7), describe_run("near_to_far", "source_only", 0, 0.5)
    experiment_id = experiment("broken")
    write_run(client, experiment_id, broken[0], files, curves=b"no parquet", evaluations=b"no arrays")
    write_run(client, experiment_id, broken[1], files, curves=False, start_ms=1_767_312_000_001)
    write_run(client, experiment("unfinished"), describe_run("near_to_far", "dann", 0, 0.7), files, status="FAILED")
    write_run(client, experiment("a/b"), describe_run("near_to_far", "dann", 0, 0.7), files)
    again = experiment("again")
    for status, start_ms in (("FAILED", 1), ("FINISHED", 2)):
        write_run(client, again, describe_run("near_to_far", "dann", 0, 0.7), files, status=status, start_ms=start_ms)
    swept = experiment("swept")
    study = client.create_run(swept, tags={"kind": "study"}).info.run_id
    client.create_run(swept, tags={"kind": "trial", "mlflow.parentRunId": study})
    return root


@pytest.fixture
def store(recorded_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shared store, as the one that commands use."""
    monkeypatch.setenv("GRL_RUNS", str(recorded_store))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return recorded_store
