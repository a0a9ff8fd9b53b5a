import io
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import results.table
from experiments.errors import BadInput
from experiments.record import names
from experiments.record.store import Unreachable, open_client
from experiments.validators import VALIDATORS
from results import building, delivering
from results.building import build
from results.delivering import LONGEST_TEXT, RUN_FIGURE, deliver_report
from results.reading import read_runs
from results.table import Request

TABLES = ["toy.csv", "toy_pivot.csv", "toy_seeds.csv", "toy.md", "toy.tex"]
FIGURES = [
    "toy_gaps.png",
    *(f"toy_{pair}_{figure}.png" for pair in ("left_to_right", "near_to_far") for figure in ("curves", "features")),
]
VECTORS = [name.replace(".png", ".svg") for name in FIGURES]
OWN = """
from matplotlib.figure import Figure

def draw(material):
    for place, title, part in material.by_recipe():
        figure = Figure()
        figure.suptitle(f"{title}: {len(part.runs)} runs, {len(part.cells)} cells, {len(part.curves)} points")
        yield f"{place} own", figure
"""


def build_quietly(name: str, into: Path | None = None, *, publish: bool = False, **options) -> tuple[list[Path], str]:
    console = Console(file=io.StringIO(), width=80)
    files = build(Request(name, **options), console, into, publish=publish)
    assert isinstance(console.file, io.StringIO)
    return files, console.file.getvalue()


def reports(name: str) -> list:
    client = open_client(create=False)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], "tags.kind = 'report'"))


def test_everything_is_written_printed_and_kept(store: Path, tmp_path: Path) -> None:
    files, printed = build_quietly("toy", tmp_path)
    assert sorted(path.name for path in files) == sorted([*FIGURES, *VECTORS, *TABLES, "toy.html"])
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(files)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files if path.suffix == ".png")

    table = pd.read_csv(tmp_path / "toy.csv", comment="#").set_index(["pair", "method"])
    dann = table.loc[("near_to_far", "dann")]
    np.testing.assert_allclose(dann[["target_accuracy", "gap_covered", "difference"]].astype(float), [0.8, 0.5, 0.2])
    assert (dann["n"], dann["planned"], dann["lost"]) == (3, 4, 3)
    assert np.isnan(table.loc[("left_to_right", "dann"), "gap_covered"])  # its target_only was never run

    words = " ".join(printed.split())
    assert "DANN .800 ± .100 .900 ± .000 .500 .690 1.500 3 of 4" in words
    assert "DANN .200 -.048 to .448 .074 .074 3 survivors" in words
    assert "3 of 4, survivors only: near → far: DANN, without seed 3" in words
    assert "not in the table: 1 running, 1 repeated" in words
    assert max(map(len, printed.splitlines())) <= 80
    assert (tmp_path / "toy.md").read_text().startswith("*commit 0123456789ab; 2026-01-02; n = 3 seeds; ")

    [report] = reports("toy")
    client = open_client(create=False)
    kept = {file.path for folder in ("tables", "figures") for file in client.list_artifacts(report.info.run_id, folder)}
    assert kept == {*(f"figures/{name}" for name in FIGURES), *(f"tables/{name}" for name in [*TABLES, "toy.html"])}
    assert report.data.tags["mlflow.note.content"] == (tmp_path / "toy.md").read_text()
    assert report.info.status == "FINISHED"


def test_nothing_is_written_outside_the_runs_unless_published(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "RESULTS", tmp_path)
    files, _ = build_quietly("toy")
    assert {path.parent for path in files} == {store / "reports" / "toy"}
    assert list(tmp_path.iterdir()) == []
    build_quietly("toy", publish=True)
    published = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert published == sorted([*(f"figures/{name}" for name in FIGURES), *(f"tables/{name}" for name in TABLES)])


def test_a_table_of_some_runs_says_of_which(store: Path, tmp_path: Path) -> None:
    build_quietly("toy", tmp_path, where=["pair=near_to_far", "method=dann", "method=source_only"])
    table = pd.read_csv(tmp_path / "toy.csv", comment="#")
    assert set(table["pair"]) == {"near_to_far"}
    assert set(table["method"]) == {"dann", "source_only"}
    words = (tmp_path / "toy.md").read_text()
    only = "--where pair=near_to_far --where method=dann --where method=source_only"
    assert f"`python -m results build toy {only}`" in words
    assert re.search(r"\d other than pair=near_to_far method=dann method=source_only", words)


def test_building_again_gives_the_same_bytes_and_one_report(store: Path, tmp_path: Path) -> None:
    first, _ = build_quietly("toy", tmp_path)
    contents = [path.read_bytes() for path in first]
    again, _ = build_quietly("toy", tmp_path)
    assert [path.read_bytes() for path in again] == contents
    assert len(reports("toy")) == 1


def test_the_selection_moves_every_number_and_is_named(store: Path, tmp_path: Path) -> None:
    _, printed = build_quietly("toy", tmp_path, selection="target_oracle", figures=())
    assert "selection: target_oracle; all numbers of a row are of the evaluation" in " ".join(printed.split())
    assert "python -m results build toy --selection target_oracle" in " ".join(printed.split())
    build_quietly("toy", tmp_path, selection="nuclear_norm", figures=())
    table = pd.read_csv(tmp_path / "toy.csv", comment="#").set_index(["pair", "method"])
    assert table.loc[("near_to_far", "dann"), "target_accuracy"] == pytest.approx(0.6 * 0.8)  # its second evaluation
    assert set(table["selection"]) == {"nuclear_norm"}


def test_a_figure_from_outside_the_repository_is_drawn(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_figures.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_figures", raising=False)
    titles = []
    monkeypatch.setattr(building, "to_png", lambda figure: titles.append(figure.get_suptitle()) or b"png")
    files, _ = build_quietly("toy", tmp_path / "out", figures=("own_figures:draw",))
    assert [path.name for path in files if path.suffix == ".png"] == [
        "toy_left_to_right_own.png", "toy_near_to_far_own.png",
    ]  # fmt: skip
    scores = sum(not each.compares for each in VALIDATORS.values())
    points = 9 * 3 * (6 + scores) + 3 * 3 * 2  # three evaluations; three runs have alpha and domain loss
    assert titles[1] == f"near → far: 9 runs, 3 cells, {points} points"


@pytest.mark.parametrize(
    ("figure", "complaint"),
    [
        ("curve", "unknown figure 'curve': did you mean 'curves'"),
        (
            "experiments.record.names:ALPHA",
            "must be a figure, a function of results.drawing.base.Material, got 'alpha'",
        ),
        ("no_such_module:draw", "there is no module 'no_such_module'"),
    ],
)
def test_a_figure_that_is_none_is_refused_before_the_store_is_opened(figure: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        build_quietly("toy", figures=(figure,))


def test_runs_get_figures_of_their_own_only_when_asked_and_only_once(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_client(create=False)
    [run_id] = read_runs(client, "a/b").runs.index
    build_quietly("a/b", tmp_path)
    assert client.list_artifacts(run_id, "figures") == []
    build_quietly("a/b", tmp_path, run_figures=True)
    assert [file.path for file in client.list_artifacts(run_id, "figures")] == [RUN_FIGURE]
    monkeypatch.setattr(delivering, "draw_run", lambda *_arguments: pytest.fail("drawn again"))
    build_quietly("a/b", tmp_path, run_figures=True)


def test_damaged_files_cost_their_figures_only(store: Path, tmp_path: Path) -> None:
    files, printed = build_quietly("broken", tmp_path)
    assert {path.suffix for path in files} == {".csv", ".md", ".tex", ".html"}
    words = " ".join(printed.split())
    assert words.count("missing: ") == 3
    assert "DANN .200 1 no spread" in words


def test_a_slash_in_the_name_stays_out_of_paths(store: Path) -> None:
    files, _ = build_quietly("a/b")
    written = {path.relative_to(store).as_posix() for path in files}
    assert {f"reports/a_b/{name}" for name in ("a_b.csv", "a_b.md", "a_b_near_to_far_curves.png")} <= written


def test_a_failure_while_drawing_leaves_old_tables(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "toy.csv"
    old.write_text("old")

    def fail(*_arguments: object) -> bytes:
        raise BadInput("no ink")

    monkeypatch.setattr(building, "to_png", fail)
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
    with pytest.raises(Unreachable, match=rf"{tmp_path} is up to date, MLflow is not: gone"):
        build_quietly("a/b", tmp_path)
    assert (tmp_path / "a_b.csv").exists()


def test_an_unwritable_folder_is_named(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInput, match=r"the results folder .*/file/in cannot be written: Not a directory"):
        build_quietly("toy", tmp_path / "file" / "in", figures=())


def test_a_long_report_points_to_its_table(store: Path) -> None:
    client = open_client(create=False)
    experiment_id = client.get_experiment_by_name("a/b").experiment_id
    for text, shown in (("short", "short"), ("x" * (LONGEST_TEXT + 1), "Too long to be shown here: see `tables/`")):
        run_id = deliver_report(client, experiment_id, [], text, "a command")
        assert client.get_run(run_id).data.tags["mlflow.note.content"].startswith(shown)
    assert len(reports("a/b")) == 1


def test_runs_whose_metric_has_another_name_are_refused(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = results.table.read_runs

    def rename(client, name, where):
        recorded = read(client, name, where=where)
        return replace(recorded, runs=recorded.runs.rename(columns={"metric.target_accuracy": "metric.accuracy"}))

    monkeypatch.setattr(results.table, "read_runs", rename)
    with pytest.raises(BadInput, match="none of the 15 finished runs of 'toy' has the metric target_accuracy"):
        build_quietly("toy", tmp_path)
    assert list(tmp_path.iterdir()) == []
