"""Recorded runs as pandas frames, for a notebook."""

import warnings

import pandas as pd

from experiments.errors import unknown
from experiments.record.store import answering, open_client
from results.artifacts import read_curves
from results.provenance import read_provenance
from results.reading import search

KINDS = ("run", "trial", "study")


def load_runs(name: str | None = None, kind: str = "run") -> pd.DataFrame:
    """Everything recorded of each run, one run a row, the oldest first.

    Args:
        name: MLflow experiment, for example demo; all of them if left out.
        kind: run (one training), trial (of a sweep: some runs that differ in their seed) or study (all its trials).

    Returns:
        Indexed by run_id, with columns

        - experiment (text), kind, parent (run_id of its trial, or of a trial's study; missing elsewhere),
        - status (finished, failed, killed, running), start and end (UTC), artifacts (address of its files),
        - data, commit, torch, device (text): where it was made,
        - param.<path>: what was asked for; whole numbers, floats, True or False where all runs have such, else text,
        - metric.<name>: floats, the last value of each curve; accuracies in [0, 1], losses in nats, proxy_a_distance in
          [0, 2], train_time_s in seconds,
        - tag.<name>: text.

    Raises:
        BadInput: an unknown name or kind, or there is no store yet.
        Unreachable: the store does not answer.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    client = open_client(create=False)
    with answering("the MLflow store does not list its experiments"):
        titles = {experiment.experiment_id: experiment.name for experiment in client.search_experiments()}
    wanted = [number for number, title in titles.items() if name in (None, title)]
    if not wanted:
        raise unknown("experiment", str(name), titles.values())
    runs = pd.DataFrame(search(client, wanted, kind))
    if runs.empty:
        return pd.DataFrame(columns=["experiment", "kind", "parent", "status"]).rename_axis("run_id")
    runs = runs.set_index("run_id")
    parents = runs.get("tag.mlflow.parentRunId", pd.Series(pd.NA, index=runs.index, dtype="str"))
    front = pd.DataFrame({"experiment": runs["experiment_id"].map(titles), "kind": kind, "parent": parents})
    typed = {str(column): _type(runs[column]) for column in runs if str(column).startswith("param.")}
    rest = runs.drop(columns=["experiment_id"]).assign(**typed)
    return pd.concat([front, rest, read_provenance(runs)], axis=1)


def load_curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Every recorded point of these runs, one point a row.

    Args:
        runs: rows of `load_runs`.

    Returns:
        Columns run_id (text), step (whole number), metric (text) and value (float; units as in `load_runs`, and as
        `record.names` says of each curve). A run whose curves are missing or damaged has no row, and a warning names
        it.
    """
    curves, problems = read_curves(dict(zip(map(str, runs.index), runs["artifacts"], strict=True)))
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    return curves


def _type(texts: pd.Series) -> pd.Series:
    # MLflow keeps text alone: numbers and truths again, where all of a column are.
    given = texts.replace("None", None)
    known = given.dropna()
    if not len(known):
        return given
    if known.isin(["True", "False"]).all():
        return given.map({"True": True, "False": False}).astype("boolean")
    numbers = pd.to_numeric(given, errors="coerce")
    if numbers.notna().sum() != len(known):
        return given
    return numbers.astype("Int64") if known.str.fullmatch(r"-?\d+").all() else numbers
