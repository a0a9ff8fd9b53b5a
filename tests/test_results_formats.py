import doctest
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from results.cells import CELL, summarise
from results.document import Document, Grid
from results.formats import FORMATS, html, latex, markdown
from results.formats.console import render_grid
from results.formats.csv import pivot, render_csv
from results.grids import list_runs, tabulate, tabulate_comparisons
from results.statistics import compare
from tests.support.recorded_runs import describe_run, describe_table, report

TARGETS = {"source_only": (0.5, 0.6, 0.7), "dann": (0.7, 0.9, 0.8), "target_only": (1.0, 1.0, 1.0)}
HOSTILE = "<script>alert(1)</script> a|b `c` =1+1 50 % of $x_1^2$ & \\end {#} ~"


def toy() -> pd.DataFrame:
    return join(*describe_table(TARGETS), describe_run("far_to_away", "dann", 0, 0.25, title="A long title → its end"))


def join(*described: dict[str, dict]) -> pd.DataFrame:
    runs = report(*described)
    return summarise(runs).merge(compare(runs)[0], on=CELL, how="left")


def document(cells: pd.DataFrame) -> Document:
    return Document("toy", [tabulate(cells)], ["DANN is above"], ["selection: last"], "commit 1; `python -m x` a")


def hostile() -> Document:
    grid = Grid(HOSTILE, [HOSTILE, "n"], [[HOSTILE, "1"]], 1, [HOSTILE])
    return Document(HOSTILE, [grid], [HOSTILE], [HOSTILE], HOSTILE, [grid])


def terminal(grid: Grid) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    for table in render_grid(grid):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("module", [latex, markdown])
def test_the_examples_in_the_docstrings_hold(module) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_the_terminal_shows_every_number_in_80_columns() -> None:
    lines = terminal(tabulate(toy()))
    assert max(map(len, lines)) <= 80
    assert [line.split() for line in lines if "±" in line] == [
        "source only .600 ± .100 .900 ± .000 1.500 3".split(),
        "DANN .800 ± .100 .900 ± .000 .500 .690 1.500 3".split(),
        "target only † 1.000 ± .000 .900 ± .000 1.500 3".split(),
    ]
    assert "DANN .250 .900 .690 1.500 1".split() in [line.split() for line in lines]  # one seed: no spread, no gap
    assert {"a → b", "A long title → its end"} <= set(lines)


def test_pairs_stand_under_the_same_columns() -> None:
    heads = [line for line in terminal(tabulate(toy())) if line.startswith("method")]
    assert len(heads) == 2
    assert heads[0] == heads[1]


def test_long_variants_fold_inside_their_column() -> None:
    runs = [
        describe_run("a_to_b", "dann", 0, 0.5, **{"method.alpha.points": "((0.0, 0.0), [0.5])" * count})
        for count in (1, 4)
    ]
    lines = terminal(tabulate(join(*runs)))
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert sum(".690" in line for line in lines) == 2


def test_no_number_of_a_grid_of_alphas_is_broken() -> None:
    runs = [
        describe_run("a_to_b", "dann", seed, 0.5 + 0.1 * seed, source=1.0, **{"method.alpha.value": value})
        for value in ("0.0035", "0.1025")
        for seed in (0, 1)
    ] + describe_table({"source_only": (0.5, 0.6), "target_only": (1.0, 1.0)})
    cells = join(*runs).assign(target_labels="selection")
    lines = terminal(tabulate(cells)) + terminal(tabulate_comparisons(cells))
    assert max(map(len, lines)) <= 80
    words = [" ".join(line.split()) for line in lines]
    assert "DANN alpha.value=0.0035 † .550 ± .071 1.000 ± .000 .000 .690 1.500 2" in words
    assert "DANN alpha.value=0.0035 † .000 2 no spread" in words


def test_verdicts() -> None:
    def verdict(targets: dict[str, tuple[float, ...]], *failed: int) -> str:
        described = describe_table(targets)
        for number in failed:
            described[number]["status"] = "failed"
        [row] = tabulate_comparisons(join(*described)).rows
        return row[-1]

    high, low = (0.7, 0.71, 0.69, 0.72, 0.7), (0.3, 0.31, 0.29, 0.32, 0.3)
    assert verdict({"source_only": (0.5,) * 5, "dann": high}) == "above"
    assert verdict({"source_only": (0.5,) * 5, "dann": low}) == "below"
    assert verdict({"source_only": (0.5,) * 5, "dann": (0.4, 0.6, 0.5, 0.55, 0.5)}) == "not shown"
    assert verdict({"source_only": (0.5,) * 4, "dann": high[:4]}) == "n < 5"
    assert verdict({"source_only": (0.5,) * 6, "dann": (*high, 0.0)}, 11) == "survivors"
    assert verdict({"source_only": (0.5,) * 5, "dann": (0.6,) * 5}) == "no spread"
    assert tabulate_comparisons(join(*describe_table({"dann": high}))).rows == []
    lost = describe_table({"source_only": (0.5, 0.6), "dann": high[:2], "cdan": high[:2]})
    lost[4]["status"] = lost[5]["status"] = "failed"
    assert tabulate_comparisons(join(*lost)).rows[0] == ["CDAN", "", "", "", "", "0", "not compared"]


def test_survivors_are_counted_in_their_row() -> None:
    runs = describe_table({"dann": (0.5, 0.6, 0.0)})
    runs[2]["status"] = "failed"
    assert tabulate(join(*runs)).rows[0][-1] == "2 of 3"


def test_markdown() -> None:
    assert markdown.render(document(toy())).splitlines() == [
        "*commit 1; `python -m x` a*",
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


def test_markdown_keeps_hostile_text_in_its_cell() -> None:
    text = markdown.render(hostile())
    assert "<script>" not in text
    [row] = [line for line in text.splitlines() if line.endswith("| 1 |")]
    assert row.replace("\\|", "").count("|") == 4


def test_latex_escapes_every_command() -> None:
    text = latex.render(hostile())
    row = next(line for line in text.splitlines() if line.endswith(r"& 1 \\"))
    assert row == (
        r"\textless{}script\textgreater{}alert(1)\textless{}/script\textgreater{} a\textbar{}b "
        r"\textasciigrave{}c\textasciigrave{} =1+1 50 \% of \$x\_1\textasciicircum{}2\$ \& \textbackslash{}end "
        r"\{\#\} \textasciitilde{} & 1 \\"
    )
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


def test_latex_breaks_what_is_longer_than_a_page() -> None:
    """Groups stay whole where they fit; no row is lost, doubled or moved; what is read stands outside of captions."""
    groups = [pair for pair, count in (("a", 30), ("b", 12), ("c", 95), ("d", 1)) for _ in range(count)]
    rows = [[f"row{number}", "1"] for number in range(len(groups))]
    text = latex.render(Document("long", [Grid("accuracies", ["method", "n"], rows, 1, groups)], ["so"], ["n"], "x"))
    assert re.findall(r"row\d+", text) == [row[0] for row in rows]
    assert [part.count(r"& 1 \\") for part in text.split(r"\begin{table}")[1:]] == [30, 12, 38, 38, 20]
    assert text.count(", continued.}") == 4
    assert len(set(re.findall(r"\\label{(.*)}", text))) == 5
    assert max(map(len, re.findall(r"\\caption{(.*)}", text))) < 40
    assert text.endswith("\\noindent so.\\par\n\\noindent n.\\par\n\\noindent x.\\par}\n")


def test_latex_counts_the_headings_of_groups_as_rows() -> None:
    groups = [f"pair {number // 2}" for number in range(60)]
    text = latex.render(Document("pairs", [Grid("n", ["n"], [["1"]] * 60, 1, groups)], [], [], "x"))
    parts = text.split(r"\begin{table}")[1:]
    assert [part.count(r"\textit{pair") for part in parts] == [10, 10, 10]


def test_latex_names_its_pairs_and_has_booktabs_rules() -> None:
    text = latex.render(document(toy()))
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    assert r"\multicolumn{7}{l}{\textit{a $\rightarrow$ b}} \\" in text
    assert r"DANN & .800 $\pm$ .100 & .900 $\pm$ .000 & .500 & .690 & 1.500 & 3 \\" in text


class Page(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_loads_nothing_and_shows_figures_and_runs() -> None:
    runs = report(*describe_table(TARGETS))
    page = Page(html.render(replace(document(toy()), figures={"a.png": b"png"}, appendix=[list_runs(runs)])))
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert links == ["data:image/png;base64,cG5n"]
    assert {"run0", "run8", ".800 ± .100", "python -m x"} <= set(page.text)
    assert [tag for tag, _ in page.tags].count("tbody") == 3  # two pairs, and the pair of the runs


def test_the_page_runs_no_script_but_its_own() -> None:
    page = Page(html.render(hostile()))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert page.text.count(HOSTILE) >= 5


@pytest.mark.parametrize("render", FORMATS.values())
def test_the_same_document_gives_the_same_text(render) -> None:
    assert render(document(toy())) == render(document(toy()))


@pytest.mark.parametrize("paired", [True, False])
def test_csv_reads_back_with_all_its_digits(paired: bool) -> None:
    cells = toy() if paired else join(*describe_table({"dann": (0.7, 0.9)}))
    text = render_csv(cells, ["commit 1; n = 3", "selection:\nlast"])
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


@pytest.mark.parametrize("value", ["=1+1", "+a", "-cmd", "@x"])
def test_a_spreadsheet_runs_no_formula(value: str) -> None:
    assert render_csv(pd.DataFrame({"method": [value], "n": [-1]}), []) == f"method,n\n {value},-1\n"


def test_numbers_in_text_stay_as_they_are() -> None:
    assert render_csv(pd.DataFrame({"differences": ["-0.1 0.2"]}), []) == "differences\n-0.1 0.2\n"


def test_the_pivot_has_a_row_a_method_and_a_column_a_pair() -> None:
    wide = pivot(toy())
    assert list(wide.columns) == ["method", "target_labels", "a_to_b", "far_to_away"]
    assert list(wide["target_labels"]) == ["no", "no", "training"]
    assert list(wide["method"]) == ["source only", "DANN", "target only"]
    np.testing.assert_allclose(wide["a_to_b"], [0.6, 0.8, 1.0])
    np.testing.assert_allclose(wide["far_to_away"], [np.nan, 0.25, np.nan])


def test_of_two_names_the_wider_one_folds_and_no_number_does() -> None:
    row = ["Polynomial", "start=0 end=0.792 power=0.734", ".915 ± .065", "2", ".915", ".000", "25"]
    grid = Grid("toy", ["family", "chosen", "target", "n", "best †", "regret", "settings"], [row], 2, ["a → b"])
    console = Console(file=io.StringIO(), width=80)
    for rendered in render_grid(grid):
        console.print(rendered)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 80
    [shown] = [line for line in lines if "Polynomial" in line]
    assert all(value in shown for value in (".915 ± .065", ".915", ".000", "25"))
