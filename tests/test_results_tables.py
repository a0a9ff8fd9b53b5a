import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from results.cells import CELL, summarise
from results.statistics import compare
from results.tables import render_console, render_csv, render_markdown
from tests.support.recorded_runs import describe_run, describe_table, report

TARGETS = {"source_only": (0.5, 0.6, 0.7), "dann": (0.7, 0.9, 0.8), "target_only": (1.0, 1.0, 1.0)}


def toy() -> pd.DataFrame:
    return join(*describe_table(TARGETS), describe_run("far_to_away", "dann", 0, 0.25, title="A long title → its end"))


def join(*described: dict[str, dict]) -> pd.DataFrame:
    runs = report(*described)
    return summarise(runs).merge(compare(runs)[0], on=CELL, how="left")


def terminal(cells: pd.DataFrame) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    for table in render_console(cells):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_terminal_shows_every_number_in_80_columns() -> None:
    lines = terminal(toy())
    assert max(map(len, lines)) <= 80
    assert [line.split() for line in lines if "±" in line] == [
        "source only .600 ± .100 .900 ± .000 1.500 3".split(),
        "DANN .800 ± .100 .900 ± .000 .500 .690 1.500 3".split(),
        "target only † 1.000 ± .000 .900 ± .000 1.500 3".split(),
    ]
    assert "DANN .250 .900 .690 1.500 1".split() in [line.split() for line in lines]  # one seed: no spread, no gap
    assert {"a → b", "A long title → its end"} <= set(lines)


def test_pairs_stand_under_the_same_columns() -> None:
    heads = [line for line in terminal(toy()) if line.startswith(" method") or line.startswith("method")]
    assert len(heads) == 2
    assert heads[0] == heads[1]


def test_long_variants_fold_inside_their_column() -> None:
    runs = [
        describe_run("a_to_b", "dann", 0, 0.5, **{"method.alpha.points": "((0.0, 0.0), [0.5])" * count})
        for count in (1, 4)
    ]
    lines = terminal(join(*runs))
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert sum(".690" in line for line in lines) == 2


def test_no_number_of_a_grid_of_alphas_is_broken() -> None:
    runs = [
        describe_run("a_to_b", "dann", seed, 0.5 + 0.1 * seed, source=1.0, **{"method.alpha.value": value})
        for value in ("0.0035", "0.1025")
        for seed in (0, 1)
    ] + describe_table({"source_only": (0.5, 0.6), "target_only": (1.0, 1.0)})
    lines = terminal(join(*runs).assign(target_labels="selection"))
    assert max(map(len, lines)) <= 80
    assert "DANN alpha.value=0.0035 † .550 ± .071 1.000 ± .000 .000 .690 1.500 2" in [
        " ".join(line.split()) for line in lines
    ]


def test_survivors_are_counted_in_their_row() -> None:
    runs = describe_table({"dann": (0.5, 0.6, 0.0)})
    runs[2]["status"] = "failed"
    assert any(line.endswith(" 2 of 3") for line in terminal(join(*runs)))


def test_markdown() -> None:
    text = render_markdown(toy(), "commit 1; n = 3", ["DANN is above"], ["selection: last"])
    assert text.splitlines() == [
        "*commit 1; n = 3*",
        "",
        "| pair | method | target | source | gap | domain loss | PAD | n |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| a → b | source only | .600 ± .100 | .900 ± .000 |  |  | 1.500 | 3 |",
        "| a → b | DANN | .800 ± .100 | .900 ± .000 | .500 | .690 | 1.500 | 3 |",
        "| a → b | target only † | 1.000 ± .000 | .900 ± .000 |  |  | 1.500 | 3 |",
        "| A long title → its end | DANN | .250 | .900 |  | .690 | 1.500 | 1 |",
        "",
        "- DANN is above",
        "",
        "- selection: last",
    ]


@pytest.mark.parametrize("paired", [True, False])
def test_csv_reads_back_with_all_its_digits(paired: bool) -> None:
    cells = toy() if paired else join(*describe_table({"dann": (0.7, 0.9)}))
    text = render_csv(cells, "commit 1; n = 3", ["selection: last"])
    assert text.startswith("# commit 1; n = 3\n# selection: last\npair,")
    table = pd.read_csv(io.StringIO(text), comment="#")
    np.testing.assert_array_equal(table["target_accuracy"], cells["target_accuracy"])
    assert list(table["method"]) == list(cells["method"])
    assert set(table["selection"]) == {"last"}
    if paired:
        np.testing.assert_allclose(table["difference"].dropna(), [0.2])
        np.testing.assert_allclose(table["gap_covered"].dropna(), [0.5])
        np.testing.assert_allclose(table["n_paired"].dropna(), [3])
    else:
        assert table["p_value"].isna().all()
