import pytest
@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path / "runs"
