"""The alpha atlas by hand."""

import pytest

from experiments.errors import BadInput
from experiments.record.store import open_client
from results.atlas import compare_families, make_atlas, put_into_words
from results.table import Request
from tests.support.recorded_runs import describe_run, report

SCORE = "metric.information_maximisation"


def swept(family: str, value: str, score: float, *targets: float) -> list[dict[str, dict]]:
    runs = [
        describe_run("a_to_b", "dann", seed, target, **{"method.alpha": family, "method.alpha.gamma": value})
        for seed, target in enumerate(targets)
    ]
    for run in runs:
        run["metrics"][SCORE.removeprefix("metric.")] = score
    return runs


def test_each_family_shows_what_would_be_chosen_and_what_that_costs() -> None:
    runs = report(
        *swept("Ganin", "10.0", 0.9, 0.6, 0.7), *swept("Ganin", "2.0", 0.2, 0.9, 0.9), *swept("Constant", "1", 1.0, 0.5)
    )
    constant, ganin = compare_families(runs, SCORE).to_dict("records")
    assert (constant["family"], ganin["family"]) == ("Constant", "Ganin")  # the larger score first
    assert (ganin["settings"], ganin["setting"], ganin["seeds"]) == (2, "gamma=10", 2)
    assert (ganin["accuracy"], ganin["best"], ganin["regret"]) == pytest.approx((0.65, 0.9, 0.25))
    [line] = put_into_words(compare_families(runs, SCORE))
    assert line == (
        "a → b: Constant would be chosen, .500; the best setting in hindsight is of Ganin, .900: regret .400"
    )


def test_a_score_that_was_not_recorded_is_named() -> None:
    with pytest.raises(BadInput, match=r"^nuclear_norm was not recorded"):
        compare_families(report(*swept("Ganin", "1", 1.0, 0.5)), "metric.nuclear_norm")


def test_without_a_sweep_there_is_no_atlas(store) -> None:
    with pytest.raises(BadInput, match=r"no sweep over alpha schedules is recorded"):
        make_atlas(open_client(create=False), Request("alpha_atlas"))
