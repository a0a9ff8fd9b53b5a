import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from experiments.errors import BadInput
from results import building, delivering
from results.building import build
from results.delivering import LONGEST_TEXT, RUN_FIGURE, deliver_report, deliver_run_figures
from results.reading import read_runs
from results.store import open_store

FIGURES = [f"toy_{pair}_{figure}.png" for pair in ("left_to_right", "near_to_far") for figure in ("curves", "features")]


def build_quietly(name: str, into: Path) -> tuple[list[Path], str]:
    console = Console(file=io.StringIO(), width=80)
    files = build(name, into, console)
    assert isinstance(console.file, io.StringIO)
    return files, console.file.getvalue()


def reports(name: str) -> list:
    client = open_store()
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], "tags.kind = 'report'"))


def test_everything_is_written_printed_and_kept(store: Path, tmp_path: Path) -> None:
    files, printed = build_quietly("toy", tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in files) == [
        *(f"figures/{name}" for name in FIGURES), "tables/toy.csv", "tables/toy.md",
    ]  # fmt: skip
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(files)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files if path.suffix == ".png")

    table = pd.read_csv(tmp_path / "tables" / "toy.csv", comment="#").set_index(["pair", "method"])
    dann = table.loc[("near_to_far", "dann")]
    np.testing.assert_allclose(dann[["target_accuracy", "gap_covered", "difference"]].astype(float), [0.8, 0.5, 0.2])
    assert dann["n"] == 3
    assert np.isnan(table.loc[("left_to_right", "dann"), "gap_covered"])  # its target_only was never run

    words = " ".join(printed.split())
    assert "DANN .800 ± .100 .900 ± .000 .500 .690 1.500 3" in words
    assert (
        "left → right: DANN is above source only by .200 (95 % interval .190 to .210, paired t-test p < .001" in words
    )
    assert "near → far: DANN is not shown to differ from source only: .200 (" in words
    assert "not in the table: 1 failed, 1 running, 1 repeated" in words
    assert max(map(len, printed.splitlines())) <= 80
    assert (tmp_path / "tables" / "toy.md").read_text().startswith("*commit 0123456789ab; 2026-01-02; n = 3 seeds; ")

    [report] = reports("toy")
    client = open_store()
    kept = {file.path for folder in ("tables", "figures") for file in client.list_artifacts(report.info.run_id, folder)}
    assert kept == {path.relative_to(tmp_path).as_posix() for path in files}
    assert report.data.tags["mlflow.note.content"] == (tmp_path / "tables" / "toy.md").read_text()
    assert report.info.status == "FINISHED"
    for run_id in read_runs(client, "toy").runs.index:
        assert [file.path for file in client.list_artifacts(run_id, "figures")] == [RUN_FIGURE]


def test_building_again_replaces_and_draws_no_run_twice(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = build_quietly("toy", tmp_path)
    contents = [path.read_bytes() for path in first]
    monkeypatch.setattr(delivering, "draw_run", lambda *_arguments: pytest.fail("drawn again"))
    again, _ = build_quietly("toy", tmp_path)
    assert [path.read_bytes() for path in again] == contents
    assert len(reports("toy")) == 1


def test_damaged_files_cost_their_figures_only(store: Path, tmp_path: Path) -> None:
    files, printed = build_quietly("broken", tmp_path)
    assert [path.name for path in files] == ["broken.csv", "broken.md"]
    words = " ".join(printed.split())
    assert words.count("missing from the figures: ") == 3
    assert "DANN - source only = .200 with one seed" in words


def test_a_slash_in_the_name_stays_out_of_paths(store: Path, tmp_path: Path) -> None:
    files, _ = build_quietly("a/b", tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        "tables/a_b.csv", "tables/a_b.md", "figures/a_b_near_to_far_curves.png",
    ]  # fmt: skip


def test_a_failure_while_drawing_leaves_old_tables(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "tables" / "toy.csv"
    old.parent.mkdir()
    old.write_text("old")

    def fail(*_arguments: object) -> None:
        raise BadInput("no ink")

    monkeypatch.setattr(building, "draw_curves", fail)
    with pytest.raises(BadInput, match="no ink"):
        build_quietly("toy", tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [old]
    assert old.read_text() == "old"


def test_a_store_that_refuses_the_report_loses_nothing(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(building, "deliver_report", fail)
    with pytest.raises(BadInput, match=rf"{tmp_path} is up to date, MLflow is not: gone"):
        build_quietly("a/b", tmp_path)
    assert (tmp_path / "tables" / "a_b.csv").exists()


def test_an_unwritable_folder_is_named(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInput, match=r"the results folder .*/file/tables cannot be written: Not a directory"):
        build_quietly("toy", tmp_path / "file")


def test_a_long_report_points_to_its_table(store: Path, tmp_path: Path) -> None:
    client = open_store()
    experiment_id = read_runs(client, "a/b").experiment_id
    for text, shown in (("short", "short"), ("x" * (LONGEST_TEXT + 1), "Too long to be shown here: see `tables/`")):
        run_id = deliver_report(client, experiment_id, [], text, "a command")
        assert client.get_run(run_id).data.tags["mlflow.note.content"].startswith(shown)
    assert len(reports("a/b")) == 1


def test_runs_without_curves_get_no_figure(store: Path) -> None:
    client = open_store()
    runs = read_runs(client, "broken").runs
    assert deliver_run_figures(client, runs, pd.DataFrame(columns=["run_id", "step", "metric", "value"])) == 0
