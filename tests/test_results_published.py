import pandas as pd
import pytest
from scipy import stats

from results.cells import summarise
from results.grids import tabulate_published
from results.published import COLUMNS, compare_published, read_published
from tests.support.recorded_runs import describe_table, report


def published(**changes: object) -> pd.DataFrame:
    row = {"pair": "a_to_b", "method": "dann", "accuracy": 0.75, "sd": float("nan"), "seeds": 1, "network": "a net",
           "selection": "not stated", "source": "Someone (2000)", "where": "Table 1", "certainty": "read"}  # fmt: skip
    return pd.DataFrame([row | changes])[COLUMNS]


def cells(*targets: float) -> pd.DataFrame:
    return summarise(report(*describe_table({"dann": targets, "source_only": targets})))


def test_what_is_published_is_whole_and_plausible() -> None:
    table = read_published()
    assert list(table.columns) == COLUMNS
    assert table["accuracy"].between(0, 1).all()
    assert not table.drop(columns=["sd", "seeds"]).isna().any().any()
    assert not table.duplicated(["pair", "method", "network", "selection", "source", "where"]).any()
    assert set(table["certainty"]) == {
        "read in two places", "read in one primary place", "read in another publication",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pair", "method", "source", "accuracy"),
    [
        ("mnist_to_mnist_m", "dann", "Ganin et al., JMLR 17 (2016)", 0.7666),
        ("mnist_to_mnist_m", "dann", "Ganin and Lempitsky, arXiv 1409.7495v1 (2014)", 0.8149),
        ("amazon_books_to_amazon_dvd_msda", "source_only", "Ganin et al., JMLR 17 (2016)", 0.824),
        ("office31_amazon_to_office31_webcam", "mdd", "Transfer-Learning-Library", 0.956),
        ("usps_to_mnist", "cdan", "CDAN: Long et al. (2018)", 0.969),
        ("usps_to_mnist", "cdan_e", "CDAN: Long et al. (2018)", 0.98),
    ],
)
def test_some_numbers_as_printed(pair: str, method: str, source: str, accuracy: float) -> None:
    table = read_published().set_index(["pair", "method", "source"])["accuracy"]
    assert table.loc[(pair, method, source)] == accuracy


def test_every_published_pair_is_one_that_can_be_trained() -> None:
    from datasets.domains import PAIRS

    assert set(read_published()["pair"]) <= set(PAIRS)


@pytest.mark.parametrize(("accuracy", "covered"), [(0.75, "yes"), (0.5, "no")])
def test_difference_and_whether_the_interval_covers_it(accuracy: float, covered: str) -> None:
    [row] = compare_published(cells(0.7, 0.8, 0.9), published(accuracy=accuracy)).to_dict("records")
    interval = stats.ttest_1samp([0.7, 0.8, 0.9], 0).confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
    assert row["difference"] == pytest.approx(0.8 - accuracy)
    assert row["covered"] == covered
    assert row["source"] == "Someone (2000), Table 1"


def test_a_row_that_uses_target_labels_is_marked_in_the_published_grid_too() -> None:
    oracle = cells(0.7, 0.8).assign(selection="target_oracle", target_labels="selection")
    both = [published(), published(method="target_only", network="another")]
    compared = compare_published(oracle, pd.concat(both), ("Someone", "Table"))
    assert list(compared["target_labels"]) == ["selection", "training"]
    assert [row[0] for row in tabulate_published(compared)[0].rows] == ["DANN †", "target only †"]


def test_one_seed_covers_nothing() -> None:
    [row] = compare_published(cells(0.7), published()).to_dict("records")
    assert row["covered"] == ""


def test_of_several_selections_of_a_source_ours_is_taken() -> None:
    theirs = pd.concat([published(selection=s, accuracy=a) for s, a in (("best_scorer", 0.1), ("last", 0.2))])
    assert compare_published(cells(0.7), theirs)["published"].tolist() == [0.2]
    assert compare_published(cells(0.7), theirs[:1])["published"].tolist() == [0.1]


@pytest.mark.parametrize("entropies", [("False", "True"), ("True",)])
def test_cdan_with_entropy_stands_beside_what_was_published_of_it(entropies: tuple[str, ...]) -> None:
    """Whatever else its runs differ in, and where no plain CDAN stands beside it, too."""
    runs = [
        run
        for entropy in entropies
        for gamma in ("5.0", "10.0")
        for run in describe_table({"cdan": (0.7,)}, **{"method.entropy": entropy, "method.alpha.gamma": gamma})
    ]
    theirs = pd.concat([published(method="cdan", accuracy=0.81), published(method="cdan_e", accuracy=0.92)])
    grid, _ = tabulate_published(compare_published(summarise(report(*runs)), theirs))
    plain = [["CDAN", ".810"]] * 2 if "False" in entropies else []
    assert [[row[0].split()[0], row[3]] for row in grid.rows] == [*plain, ["CDAN+E", ".920"], ["CDAN+E", ".920"]]


def test_each_source_has_a_letter_and_a_note() -> None:
    theirs = pd.concat([published(source="One", accuracy=0.7525), published(source="Two")])
    grid, notes = tabulate_published(compare_published(cells(0.7, 0.8), theirs))
    assert [row[-1] for row in grid.rows] == ["a", "b"]
    assert [row[3] for row in grid.rows] == [".7525", ".750"]
    assert notes[1] == "published (b): Two, Table 1; network: a net; selection: not stated; read"


def test_a_whole_published_table_shows_what_we_have_no_run_of() -> None:
    theirs = pd.concat([published(), published(method="sa"), published(method="sa", selection="another"),
                        published(pair="c_to_d"), published(method="mdd", where="Table 2")])  # fmt: skip
    compared = compare_published(cells(0.7, 0.8), theirs, ("Someone", "Table 1"))
    assert compared[["pair", "method", "covered"]].values.tolist() == [
        ["a_to_b", "dann", "yes"], ["a_to_b", "sa", "no run"], ["c_to_d", "dann", "no run"],
    ]  # fmt: skip
    grid, _ = tabulate_published(compared)
    assert grid.rows[1][1:5] == ["", "", ".750", ""]
    assert grid.groups == ["a → b", "a → b", "c → d"]
