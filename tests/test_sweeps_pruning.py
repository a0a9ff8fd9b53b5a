"""Trials given up before their end: which, by what, and that nothing of it depends on when somebody looked."""

import dataclasses
import statistics

import numpy as np
import optuna
import pytest

from experiments.errors import BadInput
from experiments.record.files import read_json
from experiments.record.folder import folder_of, is_finished, read_status
from experiments.work.done import is_done
from experiments.work.run import train_runs
from sweeps.pruning import plan_stages
from sweeps.study import Study, open_study, read_scores
from tests.support.small_runs import after, small_moons
from tests.support.small_sweeps import RECIPE, Inline, LastFirst, changed, drive, small_sweep

LONG = dataclasses.replace(RECIPE, steps=50, evaluate_every=5)  # judged after 1, 3 and 9 of 10 evaluations


def trials_of(sweep):
    return open_study(sweep.study_name).get_trials(deepcopy=False)


def test_a_run_that_stops_and_goes_on_has_the_bits_of_one_that_does_not(runs, tmp_path, monkeypatch):
    members = [small_moons(seed=seed) for seed in range(2)]
    for until in (10, 10, 20):  # the second changes nothing
        assert train_runs(members, until=until) == []
        for each in members:
            assert read_status(folder_of(each.hash))["status"] == "RUNNING"
            assert "source_accuracy" in read_scores(each, until)
            assert read_scores(each, until + 10) is None
    train_runs(members)
    stopped = [read_json(folder_of(each.hash) / "result.json")["weights_sha256"] for each in members]
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "at once"))
    train_runs(members)
    assert stopped == [read_json(folder_of(each.hash) / "result.json")["weights_sha256"] for each in members]


def test_an_interruption_before_the_stage_ends_is_still_one(runs):
    with pytest.raises(KeyboardInterrupt):
        train_runs([small_moons()], must_stop=after(3), until=20)
    assert read_status(folder_of(small_moons().hash))["status"] == "KILLED"


def test_stages():
    runs = [dataclasses.replace(LONG, seed=seed) for seed in range(5)]
    by_step = [(each.until, each.mark, each.steps) for each in plan_stages(small_sweep(pruner="median").search, runs)]
    assert by_step == [(5, 1, 25), (15, 3, 50), (45, 9, 150), (None, 10, 25)]
    by_seed = plan_stages(small_sweep(pruner="wilcoxon", seeds=5).search, runs)
    assert [([run.seed for run in each.runs], each.until) for each in by_seed] == [([seed], None) for seed in range(5)]
    [only] = plan_stages(small_sweep().search, runs)
    assert (only.runs, only.until, only.steps) == (tuple(runs), None, 250)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"pruner": "wilcoxon", "seeds": 3}, "seeds must be >= 5 for pruner wilcoxon, got 3"),
        ({"pruner": "median", "objective": "target_oracle"}, "no trial is given up by target labels"),
        ({"pruner": "hyperband", "sampler": "grid"}, "must have another sampler than grid"),
        ({"pruner": "medain"}, "unknown pruner 'medain': did you mean 'median'?"),
    ],
)
def test_what_cannot_be_pruned_is_one_line(search, said):
    with pytest.raises(BadInput) as caught:
        small_sweep(**search)
    assert said in str(caught.value)


def test_the_median_decides_on_the_recorded_objective_and_pruned_runs_stop_there(runs):
    sweep = small_sweep(recipe=LONG, trials=12, seeds=2, pruner="median")
    said = []
    drive(Study(sweep, say=said.append))
    trials = trials_of(sweep)
    pruned = [trial for trial in trials if trial.state.name == "PRUNED"]
    assert pruned
    assert all(trial.state.name in ("COMPLETE", "PRUNED") for trial in trials)
    for trial in trials:
        for mark, value in trial.intermediate_values.items():
            step = None if mark == 10 else mark * 5
            hashes = [member for member in trial.user_attrs["runs"] if step or is_finished(folder_of(member))]
            members = [run for run in Recorded.of(trial, sweep) if run.hash in hashes]
            scores = [read_scores(run, step)["information_maximisation"] for run in members]
            assert value == statistics.fmean(scores)
    for trial in pruned:
        last = max(trial.intermediate_values)
        before = [t for t in trials[: trial.number] if t.state.name == "COMPLETE" and last in t.intermediate_values]
        # Independently of Optuna: the best it has been is below the median of those that ended before it.
        assert len(before) >= 5
        best_so_far = max(trial.intermediate_values.values())
        assert best_so_far < np.median([t.intermediate_values[last] for t in before])
        for member in trial.user_attrs["runs"]:
            status = read_status(folder_of(member))
            assert status["status"] == "KILLED"
            assert status["message"] == trial.user_attrs["failure"]
            assert status["message"].startswith(f"pruned after step {last * 5} of 50 with ")
        assert f"trial {trial.number}: " in "\n".join(said)


class Recorded:
    @staticmethod
    def of(trial, sweep):
        from sweeps.study import suggested

        return sweep.experiments(suggested(sweep, trial))


def test_wilcoxon_spares_the_seeds_of_a_clear_loser(runs):
    sweep = small_sweep(trials=6, seeds=6, pruner="wilcoxon")
    pool = drive(Study(sweep))
    trials = trials_of(sweep)
    trained = {run.hash for bundle in pool.submitted for run in bundle}
    for trial in trials:
        begun = [member for member in trial.user_attrs["runs"] if member in trained]
        assert len(begun) == len(trial.intermediate_values)
        assert all(is_finished(folder_of(member)) for member in begun)
        assert (len(begun) == 6) == (trial.state.name == "COMPLETE")
        if trial.state.name == "COMPLETE":
            assert trial.value == statistics.fmean(trial.intermediate_values.values())
    assert any(trial.state.name == "PRUNED" for trial in trials)


@pytest.mark.parametrize(("pruner", "seeds"), [("median", 1), ("hyperband", 1)])
def test_a_pruned_study_repeats_itself_wherever_it_is_killed(pruner, seeds, tmp_path, monkeypatch, runs):
    """Ordered: the same whoever ends first, and whatever the driver was killed after, each line of its journal."""
    sweep = small_sweep(recipe=LONG, trials=9, seeds=seeds, pruner=pruner)
    outcomes = []
    for place, most in (("first", 2), ("last first", 2)):
        monkeypatch.setenv("GRL_RUNS", str(tmp_path / place))
        drive(Study(sweep, ordered=True, ahead=2), LastFirst(most) if place == "last first" else Inline())
        outcomes.append(outline(sweep))
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "killed"))
    study, pool, events = Study(sweep, ordered=True, ahead=2), Inline(), 0
    while study.is_open or pool.is_busy:
        events += 1
        if events % 3 == 0:  # killed with whatever was in its hands
            study, pool = Study(sweep, ordered=True, ahead=2), Inline()
        if pool.is_free and (members := study.next()):
            pool.submit(members, study.until(members))
        for ended in pool.ended(0):
            study.told(ended)
    outcomes.append(outline(sweep))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert "PRUNED" in {state for _, state, *_ in outcomes[0]}


def outline(sweep):
    return [
        (trial.number, trial.state.name, trial.params, trial.value, trial.intermediate_values)
        for trial in trials_of(sweep)
    ]


def test_pruned_trials_never_win_and_can_be_trained_to_their_end(runs):
    sweep = small_sweep(recipe=LONG, trials=10, seeds=1, pruner="median")
    drive(Study(sweep))
    study = open_study(sweep.study_name)
    assert study.best_trial.state == optuna.trial.TrialState.COMPLETE
    pruned = next(trial for trial in study.trials if trial.state.name == "PRUNED")
    members = Recorded.of(pruned, sweep)
    train_runs(members)
    assert all(map(is_done, members))
    again = Study(changed(sweep, trials=10))
    assert not again.is_open
