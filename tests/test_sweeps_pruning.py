"""Trials given up before their end: which, by what, and that nothing of it depends on when somebody looked."""

import dataclasses
import random
import statistics

import numpy as np
import pytest

from experiments.errors import BadInput
from experiments.record.files import read_json
from experiments.record.folder import folder_of, is_finished, read_status
from experiments.work.driver import Ended
from experiments.work.run import train_runs
from sweeps import study as studies
from sweeps.pruning import plan_stages
from sweeps.report import describe_pruning, draw_sample
from sweeps.study import Study, holding, journal_of, open_study, read_scores, suggested
from sweeps.sweep import Search
from tests.support.small_runs import after, small_moons
from tests.support.small_sweeps import RECIPE, LastFirst, Pretend, drive, pretend, small_sweep

LONG = dataclasses.replace(RECIPE, steps=50, evaluate_every=5)  # judged after 1, 3 and 9 of 10 evaluations


def trials_of(sweep):
    return open_study(sweep.study_name).get_trials(deepcopy=False)


def test_a_run_that_stops_and_goes_on_has_the_bits_of_one_that_does_not(runs, tmp_path, monkeypatch):
    members = [small_moons(seed=seed) for seed in range(2)]
    for until in (10, 10):  # the second changes nothing
        assert train_runs(members, until=until) == []
        for each in members:
            assert read_status(folder_of(each.hash))["status"] == "RUNNING"
            assert "source_accuracy" in read_scores(each, until, Search())
            assert read_scores(each, until + 10, Search()) is None
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
    sweep, said = small_sweep(recipe=LONG, trials=30, seeds=2, pruner="median"), []
    drive(Study(sweep, say=said.append), Pretend())
    trials = trials_of(sweep)
    pruned = [trial for trial in trials if trial.state.name == "PRUNED"]
    assert len(pruned) > 5
    for trial in trials:
        assert trial.state.name in ("COMPLETE", "PRUNED")
        members = sweep.experiments(suggested(sweep, trial))
        for mark, value in trial.intermediate_values.items():
            scores = [read_scores(run, None if mark == 10 else mark * 5, sweep.search) for run in members]
            assert value == statistics.fmean(each["information_maximisation"] for each in scores)
    for trial in pruned:
        last = max(trial.intermediate_values)
        before = [t for t in trials[: trial.number] if t.state.name == "COMPLETE"]
        # Independently of Optuna: the best it has been is below the median of those that ended before it.
        assert len(before) >= 5
        assert max(trial.intermediate_values.values()) < np.median([t.intermediate_values[last] for t in before])
        for member in trial.user_attrs["runs"]:
            status = read_status(folder_of(member))
            assert (status["status"], status["message"]) == ("KILLED", trial.user_attrs["failure"])
            assert status["message"].startswith(f"pruned after step {last * 5} of 50 with ")
        assert f"trial {trial.number}: " in "\n".join(said)
    assert open_study(sweep.study_name).best_trial.state.name == "COMPLETE"


def test_wilcoxon_spares_the_seeds_of_a_clear_loser(runs):
    sweep = small_sweep(trials=10, seeds=8, pruner="wilcoxon")
    pool = drive(Study(sweep), Pretend())
    begun = [run.hash for bundle in pool.submitted for run in bundle]
    assert len(set(begun)) == len(begun)
    states = set()
    for trial in trials_of(sweep):
        members = [member for member in trial.user_attrs["runs"] if member in begun]
        states.add(trial.state.name)
        assert len(members) == len(trial.intermediate_values) >= 4
        assert all(is_finished(folder_of(member)) for member in members)
        if trial.state.name == "COMPLETE":
            assert len(members) == 8
            assert trial.value == statistics.fmean(trial.intermediate_values.values())
    assert states == {"COMPLETE", "PRUNED"}


@pytest.mark.parametrize("pruner", ["none", "median", "hyperband", "wilcoxon"])
def test_an_ordered_study_repeats_itself_whoever_ends_first_and_wherever_it_is_killed(
    pruner, tmp_path, monkeypatch, runs
):
    sweep, outcomes = small_sweep(recipe=LONG, trials=13, seeds=5, pruner=pruner), []
    for place, pool in (("in turn", Pretend()), ("last first", LastFirst(3))):
        monkeypatch.setenv("GRL_RUNS", str(tmp_path / place))
        drive(Study(sweep, ordered=True, ahead=3), pool)
        outcomes.append(outline(sweep))
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "killed"))
    study, pool, rng = Study(sweep, ordered=True, ahead=3), LastFirst(3), random.Random(0)
    while study.is_open or pool.is_busy:
        if rng.random() < 0.3:  # killed with whatever was in its hands
            with holding(sweep):
                study, pool = Study(sweep, ordered=True, ahead=3), LastFirst(3)
        if pool.is_free and (members := study.next()):
            pool.submit(members, study.until(members))
        for ended in pool.ended(0):
            study.told(ended)
    outcomes.append(outline(sweep))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert ("PRUNED" in {state for _, state, *_ in outcomes[0]}) == (pruner != "none")


def outline(sweep):
    return [
        (trial.number, trial.state.name, trial.params, trial.value, trial.intermediate_values)
        for trial in trials_of(sweep)
    ]


@pytest.mark.parametrize("pruner", ["median", "wilcoxon"])
def test_a_driver_killed_at_any_line_goes_on_as_if_it_had_not_been(pruner, runs):
    """The journal cut at every byte offset of a grid: the rest of the study is the one that was written before."""
    sweep = small_sweep(recipe=LONG, trials=9, seeds=5, pruner=pruner)
    drive(Study(sweep, ordered=True, ahead=2), Pretend())
    expected, path = outline(sweep), journal_of(sweep.study_name)
    whole = path.read_bytes()
    for cut in range(whole.index(b"\n", 400) + 1, len(whole), len(whole) // 12):
        path.write_bytes(whole[:cut])
        with holding(sweep):
            drive(Study(sweep, ordered=True, ahead=2), Pretend())
        assert outline(sweep) == expected, cut


def test_a_worker_that_was_stopped_before_the_stage_ended_is_sent_again(runs, monkeypatch):
    monkeypatch.setattr(studies, "TRY_AGAIN_S", 0.001)
    sweep = small_sweep(recipe=LONG, trials=1, seeds=1, pruner="median")
    study = Study(sweep)
    members = study.next()
    study.told(Ended(members))  # nothing was trained
    assert trials_of(sweep)[0].state.name == "RUNNING"
    drive(study, Pretend())
    assert trials_of(sweep)[0].state.name == "COMPLETE"


def test_what_pruning_saved_and_whether_it_threw_away_the_winner(runs):
    sweep = small_sweep(recipe=LONG, trials=30, seeds=2, pruner="median")
    drive(Study(sweep), Pretend())
    study = open_study(sweep.study_name)
    sample = draw_sample(sweep, study)
    assert [trial.state.name for trial in sample] == ["PRUNED"] * 3
    for trial in sample:
        for run in sweep.experiments(suggested(sweep, trial)):
            pretend(run, None)
    said = describe_pruning(sweep, study, sample)
    pruned = [trial for trial in study.trials if trial.state.name == "PRUNED"]
    spent = (30 - len(pruned)) * 100 + sum(2 * 5 * max(trial.intermediate_values) for trial in pruned)
    assert said.startswith(f"Median pruned {len(pruned)} of 30 trials and saved {1 - spent / 3000:.0%} of the steps")
    assert f"({spent:,} of 3,000 were trained)" in said
    assert "3 of them, drawn at random, were trained to their end" in said
    assert "none would have beaten trial" in said
