import json
from pathlib import Path

import pandas as pd
import pytest

from experiments.errors import BadInput
from experiments.record.names import ROOT
from results import load_curves, load_runs

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def test_runs_are_rows_with_typed_columns(store: Path) -> None:
    runs = load_runs("toy")
    assert runs["status"].value_counts().to_dict() == {"finished": 16, "failed": 1, "running": 1}
    assert runs.index.name == "run_id"
    assert runs.index.is_unique
    assert pd.api.types.is_integer_dtype(runs["param.seed"])
    assert pd.api.types.is_float_dtype(runs["param.method.alpha.gamma"])
    assert pd.api.types.is_string_dtype(runs["param.method"])
    assert pd.api.types.is_float_dtype(runs["metric.target_accuracy"])
    assert set(runs["experiment"]) == {"toy"}
    assert set(runs["device"]) == {"cpu"}
    assert runs["start"].is_monotonic_increasing


def test_without_a_name_all_experiments_are_read(store: Path) -> None:
    assert set(load_runs()["experiment"]) == {"toy", "broken", "unfinished", "a/b", "again"}


def test_trials_and_studies_are_told_apart_from_runs(store: Path) -> None:
    study, trial = load_runs("swept", kind="study"), load_runs("swept", kind="trial")
    assert trial["parent"].tolist() == study.index.tolist()
    assert study["parent"].isna().all()
    assert load_runs("swept").empty


@pytest.mark.parametrize(
    ("given", "complaint"), [(("toi",), "unknown experiment 'toi'"), (("toy", "trail"), "'trial'")]
)
def test_unknown_names_are_answered_with_the_nearest(store: Path, given: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        load_runs(*given)


def test_curves_are_points_of_the_runs_that_were_asked_for(store: Path) -> None:
    runs = load_runs("toy").query("`param.method` == 'dann'")
    curves = load_curves(runs)
    assert list(curves.columns) == ["run_id", "step", "metric", "value"]
    assert set(curves["run_id"]) == set(runs.index)
    last = curves[(curves["step"] == 100) & (curves["metric"] == "target_accuracy")].set_index("run_id")["value"]
    pd.testing.assert_series_equal(
        last.sort_index(), runs["metric.target_accuracy"].sort_index(), check_names=False, check_index_type=False
    )


def test_missing_curves_are_warned_of(store: Path) -> None:
    with pytest.warns(UserWarning, match=r"curves\.parquet of run .* cannot be read|has no curves\.parquet"):
        assert load_curves(load_runs("broken")).empty


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebooks_run(path: Path, store: Path) -> None:
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in cells)
    scope: dict[str, object] = {}
    for cell in cells:
        exec("".join(cell["source"]).replace('"demo"', '"toy"'), scope)
    assert len(scope["means"]) == 3  # type: ignore[arg-type]


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS
