"""Rank correlations and regrets of validators, against SciPy and by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments.record import names
from experiments.validators import LAST, VALIDATORS, select
from results.judging import average, choose_steps, judge, judge_steps, score_steps
from tests.support.recorded_runs import describe_run, report


def make_scores(seed: int = 0, runs: int = 4, steps: int = 9) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([[f"run{n}" for n in range(runs)], range(steps)], names=["run_id", "step"])
    accuracy = random.integers(0, 6, len(index)) / 10  # with ties
    return pd.DataFrame({names.TARGET_ACCURACY: accuracy, "nuclear_norm": random.normal(size=len(index))}, index=index)


def test_correlation_and_regret_of_each_run() -> None:
    scores = make_scores()
    judged = judge_steps(scores, "nuclear_norm")
    for run_id, of_run in scores.groupby("run_id"):
        accuracy, score = of_run[names.TARGET_ACCURACY], of_run["nuclear_norm"]
        assert judged.loc[run_id, "correlation"] == pytest.approx(stats.spearmanr(accuracy, score).statistic)
        assert judged.loc[run_id, "regret"] == pytest.approx(accuracy.max() - accuracy.iloc[score.argmax()])


def test_a_run_of_two_evaluations_or_without_a_change_ranks_nothing() -> None:
    assert judge_steps(make_scores(steps=2), "nuclear_norm").empty
    flat = make_scores().assign(**{names.TARGET_ACCURACY: 0.5})
    judged = judge_steps(flat, "nuclear_norm")
    assert judged["correlation"].isna().all()
    assert (judged["regret"] == 0).all()


def test_the_later_step_wins_a_tie() -> None:
    scores = make_scores(runs=1, steps=3)
    scores[names.TARGET_ACCURACY], scores["nuclear_norm"] = [0.9, 0.1, 0.5], [1.0, 1.0, 0.0]
    assert judge_steps(scores, "nuclear_norm")["regret"].item() == pytest.approx(0.8)


def test_a_figure_and_a_table_choose_the_same_step_of_a_tie() -> None:
    index = pd.MultiIndex.from_product([["a", "b"], [30, 10, 20]], names=["run_id", "step"])  # in no order
    scores = pd.Series([1.0, 2.0, 2.0, 3.0, 3.0, np.nan], index=index)
    assert choose_steps(scores) == [("a", 20), ("b", 30)]
    curve = VALIDATORS["nuclear_norm"].curve
    assert select({step: {curve: float(score)} for (_, step), score in scores[:3].items()}, "nuclear_norm") == 20  # type: ignore[misc]


def described(pair: str, alphas: int, seeds: int = 2) -> list[dict[str, dict]]:
    return [
        describe_run(pair, "dann", seed, 0.5, **{"method.alpha.gamma": str(alpha)})
        for alpha in range(alphas)
        for seed in range(seeds)
    ]


def test_settings_are_means_over_seeds() -> None:
    runs = report(*described("a_to_b", 5))
    accuracy = np.repeat([0.1, 0.2, 0.3, 0.4, 0.5], 2)  # of a setting
    score = np.repeat([1.0, 2.0, 5.0, 4.0, 3.0], 2) + np.tile([-9, 9], 5)
    index = pd.MultiIndex.from_product([runs.index, [10]], names=["run_id", "step"])
    scores = pd.DataFrame({names.TARGET_ACCURACY: accuracy, "nuclear_norm": score, LAST: 10.0}, index=index)
    [row] = judge(runs, scores, "pair").to_dict("records")
    assert (row["validator"], row["settings"], row["runs"]) == ("nuclear_norm", 5, 0)
    assert row["settings_regret"] == pytest.approx(0.5 - 0.3)
    assert row["settings_correlation"] == pytest.approx(stats.spearmanr([1, 2, 3, 4, 5], [1, 2, 5, 4, 3]).statistic)


def test_what_is_left_of_a_setting_that_lost_a_run_is_not_judged() -> None:
    """The best setting by far, and of the largest score: a survivor."""
    runs = report(*described("a_to_b", 6, seeds=1)).assign(lost=[False] * 5 + [True])
    index = pd.MultiIndex.from_product([runs.index, [10]], names=["run_id", "step"])
    given = {names.TARGET_ACCURACY: [0.1, 0.2, 0.3, 0.4, 0.5, 1.0], "nuclear_norm": [1, 2, 3, 5, 4, 9.0], LAST: 10.0}
    [row] = judge(runs, pd.DataFrame(given, index=index), "pair").to_dict("records")
    assert row["settings"] == 5
    assert row["settings_regret"] == pytest.approx(0.1)


def test_a_score_that_the_last_evaluation_lacks_judges_no_setting() -> None:
    runs = report(*described("a_to_b", 5, seeds=1))
    index = pd.MultiIndex.from_product([runs.index, [10, 20]], names=["run_id", "step"])
    given = {names.TARGET_ACCURACY: np.arange(10) / 10, "nuclear_norm": np.tile([1.0, np.nan], 5), LAST: 10.0}
    assert judge(runs, pd.DataFrame(given, index=index), "pair").empty


def test_the_last_step_is_what_validators_are_tested_against() -> None:
    rows = [
        {"pair": f"p{n}", "validator": name, "runs": 3, "correlation": 0.1, "regret": regret + 0.01 * n, "worst": 0.2,
         "settings": 0, "settings_correlation": np.nan, "settings_regret": np.nan}
        for n in range(6)
        for name, regret in ((LAST, 0.10), ("nuclear_norm", 0.04 + 0.001 * (n % 2)))
    ]  # fmt: skip
    overall = average(pd.DataFrame(rows)).set_index("validator")
    by_hand = stats.ttest_rel([0.04 + 0.001 * (n % 2) for n in range(6)], [0.10] * 6)
    assert overall["p_holm"]["nuclear_norm"] == pytest.approx(by_hand.pvalue)
    assert overall["less_than_last"]["nuclear_norm"] == pytest.approx(-0.0595)
    assert overall["runs"]["nuclear_norm"] == 18
    few = average(pd.DataFrame(rows[:8])).set_index("validator")
    assert np.isnan(few["p_holm"]["nuclear_norm"])


def test_scores_come_from_the_recorded_curves() -> None:
    curves = pd.DataFrame(
        [
            ("r", 1, names.TARGET_ACCURACY, 0.5),
            ("r", 1, "nuclear_norm", 0.2),
            ("r", 1, "label_loss", 9.0),
            ("r", 2, "alpha", 1),
        ],
        columns=["run_id", "step", "metric", "value"],
    )
    scores = score_steps(curves)
    assert scores.to_dict("index") == {("r", 1): {names.TARGET_ACCURACY: 0.5, "nuclear_norm": 0.2, LAST: 1.0}}
    assert score_steps(curves[:0]).empty
