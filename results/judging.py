"""How well validators choose: rank correlation with target accuracy, and regret, of steps and of settings."""

import numpy as np
import pandas as pd

from experiments.record import names
from experiments.validators import LAST, VALIDATORS, choose_largest
from results.paired import estimate_paired
from results.statistics import holm

FEWEST_EVALUATIONS = 3  # of a run; of fewer there is nothing to choose
FEWEST_SETTINGS = 5  # of a pair: among fewer a rank says little
FEWEST_PAIRS = 5  # for a test over pairs
COLUMNS = ["validator", "runs", "correlation", "regret", "worst", "settings", "settings_correlation", "settings_regret"]


def score_steps(curves: pd.DataFrame) -> pd.DataFrame:
    """Indexed by run_id and step: target_accuracy, and each validator's score, NaN where it was not recorded.

    Args:
        curves: columns run_id, step, metric, value.
    """
    wanted = {validator.curve: name for name, validator in VALIDATORS.items()}
    wanted = {names.TARGET_ACCURACY: names.TARGET_ACCURACY} | wanted
    named = curves.assign(metric=curves["metric"].map(wanted)).dropna(subset=["metric"])
    scores = named.pivot_table(index=["run_id", "step"], columns="metric", values="value", aggfunc="last")
    if names.TARGET_ACCURACY not in scores:
        return pd.DataFrame(columns=[names.TARGET_ACCURACY])
    scores = scores.dropna(subset=[names.TARGET_ACCURACY]).sort_index()
    return scores.assign(**{LAST: scores.index.get_level_values("step").astype(float)})


def judge(runs: pd.DataFrame, scores: pd.DataFrame, by: str) -> pd.DataFrame:
    """One row for each value of `by` and validator: the columns `by` and `COLUMNS`.

    Args:
        runs: one row a run, with the columns of `name_cells`; `lost`, where it is there, says whether a run of the same
            setting failed.
        scores: of `score_steps`.
        by: pair or method.
    """
    scores = scores.join(runs[[by]].rename_axis("run_id"), how="inner")
    rows = []
    for value, group in scores.groupby(by):
        settings = _settings(runs, group)
        for validator in [LAST, *(name for name in VALIDATORS if name in group)]:
            steps = judge_steps(group, validator)
            among = _judge_settings(settings, validator) if by == "pair" else (0, np.nan, np.nan)
            if len(steps) or among[0]:
                numbers = (len(steps), steps["correlation"].mean(), steps["regret"].mean(), steps["regret"].max())
                rows.append((value, validator, *numbers, *among))
    return pd.DataFrame(rows, columns=[by, *COLUMNS])


def judge_steps(scores: pd.DataFrame, validator: str) -> pd.DataFrame:
    """One row a run of enough evaluations: correlation (NaN where accuracy or score never changes) and regret."""
    given = scores[[names.TARGET_ACCURACY, validator]].dropna()
    given = given[given.groupby("run_id")[validator].transform("size") >= FEWEST_EVALUATIONS]
    ranks = given.groupby("run_id").rank()
    ranks -= ranks.groupby("run_id").transform("mean")
    products = (ranks[validator] * ranks[names.TARGET_ACCURACY]).groupby("run_id").sum()
    sizes = (ranks**2).groupby("run_id").sum().prod(axis=1) ** 0.5
    chosen = given.loc[choose_steps(given[validator])][names.TARGET_ACCURACY].droplevel("step")
    best = given[names.TARGET_ACCURACY].groupby("run_id").max()
    return pd.DataFrame({"correlation": (products / sizes.where(sizes > 0)), "regret": best - chosen})


def choose_steps(scores: pd.Series) -> list[tuple[str, int]]:
    """Run and step of each run's largest score, as `select` chooses.

    Args:
        scores: indexed by run_id and step.
    """
    by_run: dict[str, dict[int, float]] = {}
    given = scores.dropna()
    for (run_id, step), score in zip(given.index, given, strict=True):
        by_run.setdefault(run_id, {})[step] = score
    return [(run_id, choose_largest(of_run)) for run_id, of_run in by_run.items()]


def key_settings(runs: pd.DataFrame) -> pd.Series:
    """Equal for runs that differ in their seed alone.

    Args:
        runs: one row a run, with columns `param.<name>`.
    """
    params = [str(name) for name in runs if str(name).startswith("param.") and name != "param.seed"]
    return runs[params].fillna("").astype(str).agg("\n".join, axis=1)


def _settings(runs: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    # Means over seeds of what each setting ended with; what is left of one that lost a seed is no fair sample of it.
    last = scores.groupby("run_id").tail(1).droplevel("step")  # not `last`, which passes over what is missing
    ended = runs.loc[last.index]
    if "lost" in ended:
        ended = ended[~ended["lost"]]
    return last.loc[ended.index].select_dtypes("number").groupby(key_settings(ended)).mean()


def _judge_settings(settings: pd.DataFrame, validator: str) -> tuple[int, float, float]:
    if validator == LAST or len(settings) < FEWEST_SETTINGS:
        return 0, np.nan, np.nan
    given = settings[[names.TARGET_ACCURACY, validator]].dropna()
    if len(given) < FEWEST_SETTINGS:
        return 0, np.nan, np.nan
    accuracy, score = given[names.TARGET_ACCURACY], given[validator]
    changes = accuracy.nunique() > 1 and score.nunique() > 1
    correlation = float(accuracy.rank().corr(score.rank())) if changes else np.nan
    return len(given), correlation, float(accuracy.max() - accuracy.iloc[int(score.argmax())])


def average(by_pair: pd.DataFrame) -> pd.DataFrame:
    """One row a validator: means over pairs, sums of counts, the worst of all, and the test against the last step.

    Adds pairs and settings_pairs (of how many the means of steps and of settings are), less_than_last (mean difference
    of regrets, its p of a paired t-test over pairs after Holm; NaN for fewer than `FEWEST_PAIRS`) and p_holm.
    """
    groups = by_pair.groupby("validator", sort=False)
    means = groups[["correlation", "regret", "settings_correlation", "settings_regret"]].mean()
    sums = groups[["runs", "settings"]].sum()
    regrets = by_pair.pivot(index="pair", columns="validator", values="regret")
    counts = {"pairs": groups["regret"].count(), "settings_pairs": groups["settings_regret"].count()}
    rows = means.join(sums).assign(worst=groups["worst"].max(), **counts)
    differences, p_values = {}, {}
    for name in rows.index:
        shared = regrets[[LAST, name]].dropna() if name != LAST and LAST in regrets else regrets[:0]
        if len(shared) >= FEWEST_PAIRS:
            estimate = estimate_paired(shared[name].to_numpy(), shared[LAST].to_numpy())
            differences[name], p_values[name] = estimate.mean, estimate.p_value
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    rows = rows.assign(less_than_last=pd.Series(differences), p_holm=pd.Series(adjusted)).reset_index()
    return rows[[*COLUMNS, *counts, "less_than_last", "p_holm"]]
