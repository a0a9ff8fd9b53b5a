import dataclasses
import re
from datetime import datetime, timedelta

import pytest
from optuna.trial import TrialState, create_trial

from sweeps.status import describe_status, estimate_left_s
from sweeps.study import Study, holding
from tests.support.small_sweeps import RECIPE, Pretend, changed, drive, pretend, small_sweep


def test_status_says_what_runs_what_has_ended_and_how(runs):
    sweep = small_sweep(recipe=dataclasses.replace(RECIPE, steps=50, evaluate_every=5), trials=23, pruner="median")
    drive(Study(changed(sweep, trials=20)), Pretend())
    ended = Study(changed(sweep, trials=20)).study.get_trials(deepcopy=False)
    pruned = sum(trial.state == TrialState.PRUNED for trial in ended)
    assert pruned
    pretend(Study(sweep).next()[0], 5)
    before = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    first, running, last = describe_status(sweep)
    assert first == (
        f"study {sweep.study_name}: 21 of 23 trials begun; {20 - pruned} complete, {pruned} pruned, 0 failed"
    )
    assert re.fullmatch(r"  trial 20, .+: seed 0 running, seed 1 waits", running)
    assert last == "nobody is at work; go on with: python -m sweeps run small"
    with holding(sweep):
        *_, last = describe_status(sweep)
        assert re.fullmatch(r"at work; about \d+ s left", last)
    assert {path: path.read_bytes() for path in before} == before  # looking changes nothing
    drive(Study(sweep), Pretend())
    assert list(describe_status(sweep))[-1] == "done"


def test_a_grid_that_has_ended_is_done(runs):
    sweep = small_sweep(trials=20, seeds=1, sampler="grid")
    drive(Study(sweep), Pretend())
    assert list(describe_status(sweep))[-1] == "done"


@pytest.mark.parametrize(("workers", "left_s"), [(1, 29.0), (2, 19.0)])
def test_the_time_left_is_that_of_the_trials_that_have_ended(workers, left_s):
    now = datetime.now()
    trials = [create_trial(value=0.0) for _ in range(2)]
    for trial in trials:
        trial.datetime_start, trial.datetime_complete = now - timedelta(seconds=40), now - timedelta(seconds=30)
    for _ in range(workers):
        trials.append(create_trial(state=TrialState.RUNNING))
        trials[-1].datetime_start = now - timedelta(seconds=1)
    sweep = small_sweep(trials=2 + 3 if workers == 1 else 2 + 4)
    assert estimate_left_s(sweep, trials) == pytest.approx(left_s, abs=0.5)
    assert estimate_left_s(sweep, trials[2:]) is None
