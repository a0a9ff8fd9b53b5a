import numpy as np
import pandas as pd
import pytest

from experiments.record import names
from results.caption import describe_own
from results.cells import drop_repeated, name_cells, summarise
from tests.support.recorded_runs import describe_run, describe_table, frame, report


def cell(cells: pd.DataFrame, method: str) -> dict:
    [row] = cells[cells["method"] == method].to_dict("records")
    return row


def test_runs_that_differ_in_their_seed_alone_share_a_cell() -> None:
    runs = report(*(describe_run("a_to_b", "dann", seed, 0.5) for seed in (2, 0, 11)))
    assert list(runs["recipe"]) == list(runs["variant"]) == [""] * 3
    [row] = summarise(runs).to_dict("records")
    assert (row["n"], row["seeds"]) == (3, "0 2 11")


def test_means_and_spreads_by_hand() -> None:
    targets = {"source_only": (0.5, 0.6, 0.7), "dann": (0.7, 0.9, 0.8), "target_only": (1.0, 1.0, 1.0)}
    cells = summarise(report(*describe_table(targets)))
    assert list(cells["method"]) == ["source_only", "dann", "target_only"]
    np.testing.assert_allclose(cells["target_accuracy"], [0.6, 0.8, 1.0])
    np.testing.assert_allclose(cells["target_accuracy_sd"], [0.1, 0.1, 0.0], atol=1e-12)
    np.testing.assert_allclose(cells["domain_loss"], [np.nan, 0.69, np.nan])
    assert list(cells["target_labels"]) == ["no", "no", "training"]


def test_one_seed_has_a_mean_and_no_spread() -> None:
    row = cell(summarise(report(describe_run("a_to_b", "dann", 0, 0.5))), "dann")
    assert row["target_accuracy"] == 0.5
    assert np.isnan(row["target_accuracy_sd"])


def test_the_oracle_is_marked() -> None:
    runs = report(describe_run("a_to_b", "dann", 0, 0.5)).assign(selection="target_oracle")
    assert cell(summarise(runs), "dann")["target_labels"] == "selection"


def test_failed_and_killed_seeds_are_missed_and_never_averaged() -> None:
    runs = describe_table({"dann": (0.5, 0.6, 0.0, 0.0)})
    runs[2]["status"], runs[3]["status"] = "failed", "killed"
    row = cell(summarise(report(*runs)), "dann")
    assert (row["n"], row["planned"], row["seeds"], row["lost"]) == (2, 4, "0 1", "2 3")
    assert row["target_accuracy"] == pytest.approx(0.55)


def test_a_run_without_its_number_is_missed_and_not_counted() -> None:
    runs = describe_table({"dann": (0.5, 0.7)})
    del runs[1]["metrics"][names.TARGET_ACCURACY]
    row = cell(summarise(report(*runs)), "dann")
    assert (row["n"], row["planned"], row["lost"], row["target_accuracy"]) == (1, 2, "1", 0.5)


def test_a_number_that_a_run_of_the_cell_lacks_is_blank_and_no_mean_of_the_others() -> None:
    runs = describe_table({"dann": (0.5, 0.7)})
    del runs[1]["metrics"][names.PROXY_A_DISTANCE]
    row = cell(summarise(report(*runs)), "dann")
    assert row["n"] == 2
    assert pd.isna(row["proxy_a_distance"])
    assert pd.isna(row["proxy_a_distance_sd"])
    assert row["domain_loss"] == pytest.approx(0.69)


def test_a_different_network_is_a_different_recipe() -> None:
    runs = [
        describe_run("a_to_b", method, 0, target, network=network)
        for network, target in (("small", 0.5), ("large", 0.9))
        for method in ("source_only", "dann")
    ]
    runs.append(describe_run("c_to_d", "dann", 0, 0.5))
    named = report(*runs)
    assert list(named["recipe"]) == ["network=small", "network=small", "network=large", "network=large", ""]
    assert len(summarise(named)) == 5


def test_a_different_schedule_is_a_variant_under_the_same_anchors() -> None:
    runs = [
        describe_run("a_to_b", "source_only", 0, 0.5),
        describe_run("a_to_b", "target_only", 0, 0.9),
        *(describe_run("a_to_b", "dann", 0, 0.6, **{"method.alpha.gamma": gamma}) for gamma in ("10.0", "5.0")),
        describe_run("a_to_b", "dann", 0, 0.7, **{"method.alpha": "Constant", "method.alpha.gamma": "5.0"}),
    ]
    cells = summarise(report(*runs))
    assert list(cells["variant"]) == [
        "", "alpha=Constant alpha.gamma=5.0", "alpha=Ganin alpha.gamma=5.0", "alpha=Ganin alpha.gamma=10.0", "",
    ]  # fmt: skip


def test_fields_of_a_method_before_are_compared_within_that_method() -> None:
    dann = {"method.after": "DANN", "method.after.domain_weight": "2.0"}
    before = ({"method.after": "SourceOnly"}, dann, dann | {"method.after.domain_weight": "1.0"})
    runs = [describe_run("a_to_b", "svm", 0, 0.5, **each) for each in before]
    runs += [describe_run("c_to_d", "svm", 0, 0.5, **each) for each in before[:2]]
    runs += [describe_run("c_to_d", "dann", 0, 0.5)]
    assert list(report(*runs)["variant"]) == [
        "after=SourceOnly", "after=DANN after.domain_weight=2.0", "after=DANN after.domain_weight=1.0",
        "after=SourceOnly", "after=DANN", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (("0.13816403641785177", "0.15595638353"), ("0.1382", "0.156")),
        (("0.13816403", "0.13816404"), ("0.13816403", "0.13816404")),
        (("10.0", "None"), ("10.0", "")),
        (("1000000", "3"), ("1000000", "3")),
        (("0123456", "12345e6"), ("0123456", "12345e6")),
    ],
)
def test_long_numbers_are_shortened_where_they_stay_apart(values: tuple[str, str], shown: tuple[str, str]) -> None:
    named = name_cells(frame(*(describe_run("a_to_b", "dann", 0, 0.5, **{"method.margin": value}) for value in values)))
    assert [variant.partition("=")[2] for variant in named["variant"]] == list(shown)


@pytest.mark.parametrize(
    ("tag", "value", "name"),
    [
        (names.DATA_FINGERPRINT, "beef", "data"),
        (names.FOREIGN_SOURCE, "beef", "data"),
        (names.COMMIT, "beef", "commit"),
        (names.DIFF, "beef", "commit"),
        (names.VERSIONS, "torch 2.14.0", "torch"),
        (names.HARDWARE, "a processor, 2 cores, NVIDIA H100, inductor", "device"),
    ],
)
def test_what_else_must_be_the_same_makes_another_recipe_unless_mixed(tag: str, value: str, name: str) -> None:
    runs = describe_table({"dann": (0.5, 0.7)})
    runs[1]["tags"][tag] = value
    named = name_cells(frame(*runs))
    assert named["recipe"].nunique() == 2
    assert all(recipe.startswith(f"{name}=") for recipe in named["recipe"])
    assert list(name_cells(frame(*runs), mixed=True)["recipe"]) == ["", ""]


@pytest.mark.parametrize("hardware", ["a processor, 2 cores, cpu", "another, 64 cores, cpu, inductor, deterministic"])
def test_processors_are_one_class_of_device(hardware: str) -> None:
    run = describe_run("a_to_b", "dann", 0, 0.5)
    run["tags"][names.HARDWARE] = hardware
    assert list(frame(run)["device"]) == ["cpu"]


def test_a_repetition_is_named_and_the_newest_is_kept() -> None:
    runs = describe_table({"dann": (0.5,)}) * 2
    runs[1] = runs[1] | {"tags": runs[1]["tags"] | {names.COMMIT: "beef"}}
    kept, lines = drop_repeated(name_cells(frame(*runs), mixed=True))
    assert list(kept.index) == ["run1"]
    assert lines == ["repeated, not in the table: dann on a_to_b, seed 0, of commit 0123456 and not beef"]
    assert drop_repeated(name_cells(frame(*runs)))[1] == []


def test_what_differs_between_methods_alone_is_their_own_and_said() -> None:
    """A paper's methods have learning rates of their own; a method that was tried with two of them stands apart."""
    own = frame(*describe_table({"source_only": (0.5,)}, lr="0.1"), *describe_table({"dann": (0.6,)}, lr="0.01"))
    assert set(name_cells(own)["recipe"]) == {""}
    assert describe_own(name_cells(own)) == ["by method on a → b: lr 0.01 (DANN) and 0.1 (source only)"]
    both = frame(*describe_table({"source_only": (0.5,)}, lr="0.1"), *describe_table({"dann": (0.6,)}, lr="0.1"),
                 *describe_table({"dann": (0.7,)}, lr="0.01"))  # fmt: skip
    assert set(name_cells(both)["recipe"]) == {"lr=0.1", "lr=0.01"}
    assert describe_own(name_cells(both)) == []


def test_provenance_always_stands_apart() -> None:
    runs = frame(*describe_table({"source_only": (0.5,), "dann": (0.6,)}))
    runs.loc[runs["param.method"] == "dann", "commit"] = "beef"
    assert name_cells(runs)["recipe"].nunique() == 2
    assert set(name_cells(runs, mixed=True)["recipe"]) == {""}
