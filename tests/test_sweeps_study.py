import dataclasses
import json
import statistics

import filelock
import numpy as np
import optuna
import pytest

from datasets import load_pair
from experiments.errors import BadInput
from experiments.methods import METHODS
from experiments.record.files import claim, read_json
from experiments.record.folder import folder_of
from experiments.work import run as running
from grl.schedules import Constant
from sweeps import study as studies
from sweeps.samplers import GridTrial
from sweeps.spaces import with_alpha
from sweeps.study import Study, holding, journal_of, list_studies, open_study, read_last, read_last_seen, suggested
from tests.support.small_sweeps import (
    Inline,
    Pretend,
    changed,
    drive,
    small_sweep,
    suggest_constant,
    suggest_ruin,
    suggest_two,
)

LIMITS = {"constant.value": (0.1, 3.0)}


def suggest_by_limits(recipe, trial):
    value = trial.suggest_float("constant.value", *LIMITS["constant.value"])
    return with_alpha(recipe, Constant(value=value))


def suggest_later(recipe, trial):
    return suggest_constant(recipe, trial) if trial.number else recipe


def trials_of(sweep):
    return open_study(sweep.study_name).get_trials(deepcopy=False)


def states(sweep) -> list[str]:
    return [trial.state.name for trial in trials_of(sweep)]


def test_a_trial_is_the_recipe_with_what_it_suggests_for_every_seed(runs):
    sweep = small_sweep(trials=2, seeds=3)
    pool = drive(Study(sweep))
    first = pool.submitted[0]
    assert [run.seed for run in first] == [0, 1, 2]
    assert len({run.method.alpha for run in first}) == 1
    recipe = sweep.recipe
    assert {dataclasses.replace(run, method=recipe.method, seed=recipe.seed) for run in first} == {recipe}
    assert first[0].method.alpha.value == trials_of(sweep)[0].params["constant.value"]


def test_the_objective_is_the_mean_over_seeds_of_the_last_evaluation(runs):
    sweep = small_sweep(trials=2)
    drive(Study(sweep))
    assert states(sweep) == ["COMPLETE", "COMPLETE"]
    for trial in trials_of(sweep):
        last = [read_json(folder_of(name) / "result.json")["last"] for name in trial.user_attrs["runs"]]
        assert len(last) == 2
        assert trial.value == statistics.fmean(values["information_maximisation"] for values in last)
        assert trial.user_attrs["target_accuracy"] == statistics.fmean(values["target_accuracy"] for values in last)


def test_no_target_label_reaches_objective_or_search(tmp_path, runs, monkeypatch):
    """Poisoned target labels change the accuracy told in hindsight, and nothing else."""
    pair = load_pair("moons")
    test = pair.evaluation.target_test
    wrong, known = dataclasses.replace(test, labels=1 - test.labels), pair.reveal_target_labels("oracle")
    poisoned = dataclasses.replace(
        pair,
        evaluation=dataclasses.replace(pair.evaluation, target_test=wrong),
        _open_target=lambda: dataclasses.replace(known, labels=1 - known.labels),  # the oracle's, which only records
    )
    sweep, outcomes = small_sweep(trials=3, seeds=1), []
    for place, served in (("clean", pair), ("poisoned", poisoned)):
        monkeypatch.setenv("GRL_RUNS", str(tmp_path / place))
        monkeypatch.setattr(running, "open_pair", lambda *_, served=served: served)
        drive(Study(sweep))
        outcomes.append([(t.params, t.value, t.user_attrs["target_accuracy"]) for t in trials_of(sweep)])
    clean, dirty = outcomes
    assert [trial[:2] for trial in clean] == [trial[:2] for trial in dirty]
    for (_, _, accuracy), (_, _, other) in zip(clean, dirty, strict=True):
        assert other == pytest.approx(1 - accuracy)
        assert other != accuracy


def test_target_labels_choose_only_when_asked_for_by_name(runs):
    sweep = small_sweep(trials=1, seeds=1, objective="target_oracle")
    drive(Study(sweep))
    [trial] = trials_of(sweep)
    assert trial.value == trial.user_attrs["target_validation_accuracy"]
    assert sweep.search.sees_target_labels
    assert not small_sweep().search.sees_target_labels
    with pytest.raises(BadInput, match="unknown objective 'target_accuracy'"):
        small_sweep(objective="target_accuracy")


def test_a_diverged_trial_is_failed_with_its_reason_and_never_a_value(runs):
    sweep = small_sweep(trials=4, seeds=1, suggest=suggest_ruin)
    said = []
    drive(Study(sweep, say=said.append))
    assert states(sweep) == ["COMPLETE", "FAIL", "COMPLETE", "FAIL"]
    trials = trials_of(sweep)
    assert [trial.value is None for trial in trials] == [False, True, False, True]
    assert "alpha 1e+30, pair moons" in trials[1].user_attrs["failure"]
    assert said[1].startswith(f"trial 1: {trials[1].user_attrs['shown']} -> FAILED: ")
    # All trials are there; the failed ones are not tried again.
    again = Study(sweep)
    assert not again.is_open


class Unscored(Pretend):
    """Leaves some runs without the objective, as one whose arrays are not finite is."""

    def __init__(self, *places):
        super().__init__()
        self._places = places

    def submit(self, members, until=None):
        super().submit(members, until)
        if len(self.submitted) - 1 in self._places:
            for run in members:
                for name in ("result.json", "points.jsonl"):
                    path = folder_of(run.hash) / name
                    path.write_text(path.read_text().replace('"information_maximisation"', '"something_else"'))


def test_a_trial_without_a_score_is_failed_with_its_reason(runs):
    sweep = small_sweep(trials=3, seeds=1)
    drive(Study(sweep), Unscored(1))
    assert states(sweep) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert trials_of(sweep)[1].user_attrs["failure"] == (
        "objective information_maximisation needs information_maximisation, which the evaluation of a run lacks"
    )


def test_an_objective_that_nothing_records_is_refused_and_blocks_no_later_trial(runs):
    sweep = small_sweep(trials=2, seeds=1)
    with pytest.raises(BadInput, match="needs information_maximisation, which runs on moons do not record"):
        drive(Study(sweep), Unscored(0))
    drive(Study(sweep), Pretend())
    assert states(sweep) == ["FAIL", "COMPLETE"]


def test_a_killed_driver_goes_on_with_the_same_trials(runs):
    """Killed after asking, after some of the runs, and before telling: no trial is lost, none is begun twice."""
    sweep = small_sweep(trials=3)
    study = Study(sweep)
    members = study.next()
    assert states(sweep) == ["RUNNING"]
    parameters = trials_of(sweep)[0].params

    again = Study(sweep)  # the first one is gone
    assert again.missing == 2
    assert again.next() == members
    Inline().submit(members)  # trained, and killed before it was told
    pool = drive(Study(sweep))
    assert states(sweep) == ["COMPLETE"] * 3
    assert trials_of(sweep)[0].params == parameters
    assert len({run.hash for bundle in pool.submitted for run in bundle}) == 6


def test_a_driver_killed_while_it_writes_asks_for_the_same_trial_again(runs):
    """The beginning of a trial is one block: wherever it is torn, the next driver suggests the same."""
    sweep = small_sweep(trials=12, seeds=1, suggest=suggest_two)  # the last by the model
    drive(Study(changed(sweep, trials=11)), Pretend())
    path = journal_of(sweep.study_name)
    before = path.read_bytes()
    Study(sweep).next()
    written = path.read_bytes()
    expected = [(trial.number, trial.params, trial.user_attrs) for trial in trials_of(sweep)]
    assert written.count(b"\n") - before.count(b"\n") > 3
    for cut in range(len(before), len(written), 37):
        path.write_bytes(written[:cut])
        with holding(sweep):
            assert path.read_bytes() == before
            Study(sweep).next()
        assert [(trial.number, trial.params, trial.user_attrs) for trial in trials_of(sweep)] == expected
    assert [json.loads(line) for line in path.read_bytes().splitlines()]  # as Optuna's own reader reads them


def suggestions(sweep) -> list[float]:
    return [trial.params.get("constant.value") for trial in trials_of(sweep)]


def test_a_study_repeats_itself_wherever_it_is_interrupted(tmp_path, monkeypatch, runs):
    sweep = small_sweep(trials=14, seeds=1)  # beyond the ten random trials that the sampler begins with
    values = []
    for place, parts in (("once", [14]), ("in parts", [3, 9, 12, 14])):
        monkeypatch.setenv("GRL_RUNS", str(tmp_path / place))
        for trials in parts:
            drive(Study(changed(sweep, trials=trials)), Pretend())
        values.append((suggestions(sweep), [trial.value for trial in trials_of(sweep)]))
    assert values[0] == values[1]
    assert len(set(values[0][0])) == 14


def test_every_sampler_suggests_what_the_space_holds(tmp_path, monkeypatch, runs):
    for sampler in ("tpe", "random", "quasi_random", "grid"):
        monkeypatch.setenv("GRL_RUNS", str(tmp_path / sampler))
        sweep = small_sweep(trials=5, seeds=1, sampler=sampler)
        drive(Study(sweep), Pretend())
        values = suggestions(sweep)
        assert states(sweep) == ["COMPLETE"] * 5, sampler
        assert all(0.1 <= value <= 3.0 for value in values)
        assert len(set(values)) == 5, sampler
        if sampler == "grid":
            assert sorted(values) == pytest.approx(np.geomspace(0.1, 3.0, 5), rel=1e-5)


def test_a_quasi_random_search_draws_anew_what_its_first_trial_did_not_have(tmp_path, monkeypatch, runs):
    values = []
    for seed in (0, 1):
        monkeypatch.setenv("GRL_RUNS", str(tmp_path / str(seed)))
        sweep = small_sweep(trials=6, seeds=1, sampler="quasi_random", suggest=suggest_later, seed=seed)
        drive(Study(sweep), Pretend())
        values.append(suggestions(sweep)[1:])
    assert len(set(values[0] + values[1])) == 10  # a search of another seed is another one


def test_an_exhausted_grid_ends_the_study(runs):
    sweep = small_sweep(trials=20, seeds=1, sampler="grid")
    drive(Study(sweep), Pretend())
    assert len(set(suggestions(sweep))) == 5


def test_a_grid_whose_last_setting_is_in_work_is_not_asked_again(runs):
    sweep = small_sweep(trials=20, seeds=1, sampler="grid")
    study = Study(sweep)
    handed = [study.next() for _ in range(7)]
    assert [members is None for members in handed] == [False] * 5 + [True] * 2
    assert Study(sweep).missing == 0  # whoever goes on knows it, too
    assert len(set(suggestions(sweep))) == 5


def test_a_grid_takes_steps_and_logarithms(runs):
    trial = GridTrial(optuna.trial.FixedTrial({"a": 0.3, "b": 0.1, "c": 16, "d": 9}))
    assert (trial.suggest_float("a", 0.1, 0.4, step=0.1), trial.suggest_float("b", 0.01, 1, log=True)) == (0.3, 0.1)
    assert (trial.suggest_int("c", 1, 256, log=True), trial.suggest_int("d", 1, 10, step=4)) == (16, 9)
    space = {name: each.choices for name, each in trial._trial.distributions.items()}
    assert space == {
        "a": (0.1, 0.2, 0.3, 0.4), "b": (0.01, 0.0316228, 0.1, 0.316228, 1.0), "c": (1, 4, 16, 64, 256), "d": (1, 5, 9)
    }  # fmt: skip


def test_an_objective_of_ones_own_scores_what_runs_leave(runs):
    sweep = small_sweep(trials=2, seeds=2, objective="tests.support.small_sweeps:LARGEST")
    drive(Study(sweep))
    for trial in trials_of(sweep):
        logits = [
            np.load(folder_of(name) / "evaluations.npz")["target_logits"][-1] for name in trial.user_attrs["runs"]
        ]
        assert (
            trial.value == trial.user_attrs["largest_logit"] == statistics.fmean(float(each.max()) for each in logits)
        )


def test_a_space_that_was_edited_is_refused_and_not_gone_on_with(runs, monkeypatch):
    """Wherever the edit is: the source of `suggest` alone makes another study."""
    sweep = small_sweep(trials=2, seeds=1, suggest=suggest_by_limits)
    drive(Study(sweep), Pretend())
    assert suggested(sweep, trials_of(sweep)[0])
    for limits, said in (((0.1, 5.0), r"constant.value was .*high=3.0.* and is .*high=5.0"), ((50.0, 90.0), "")):
        monkeypatch.setitem(LIMITS, "constant.value", limits)
        with pytest.raises(
            BadInput, match=rf"sweep small has another space now than trial 0 of .*{said}.*another name"
        ):
            Study(changed(sweep, trials=3))


def test_a_run_that_is_gone_is_named(runs):
    sweep = small_sweep(trials=1, seeds=1)
    drive(Study(sweep), Pretend())
    [run] = sweep.experiments(suggested(sweep, trials_of(sweep)[0]))
    (folder_of(run.hash) / "result.json").unlink()
    for read in (lambda: read_last(run, sweep.search), lambda: read_last_seen(run)):
        with pytest.raises(BadInput, match=rf"{run.hash}/.* is gone, which a trial of this sweep left there"):
            read()


@pytest.mark.parametrize("name", ["it's", "a/b", "", "two words"])
def test_a_sweep_has_a_plain_name(name):
    with pytest.raises(BadInput, match=r"name of a sweep must be of letters, digits and _ \. \+ -, got"):
        small_sweep(name=name)


def test_a_trial_is_suggested_again_from_the_journal(runs):
    for sampler in ("tpe", "grid"):
        sweep = small_sweep(trials=2, seeds=1, sampler=sampler)
        pool = drive(Study(sweep), Pretend())
        assert [suggested(sweep, trial) for trial in trials_of(sweep)] == [run for [run] in pool.submitted]


def test_another_recipe_space_or_objective_is_another_study(runs):
    sweep = small_sweep()
    others = [
        small_sweep(recipe=dataclasses.replace(sweep.recipe, steps=31)),
        small_sweep(recipe=dataclasses.replace(sweep.recipe, method=METHODS["cdan"]())),
        small_sweep(suggest=suggest_ruin),
        small_sweep(objective="nuclear_norm"),
        small_sweep(seeds=3),
        small_sweep(sampler="random"),
    ]
    assert len({each.study_name for each in [sweep, *others]}) == 7
    # More trials of the same search, and the recipe's seed, which the trials replace, change nothing.
    assert changed(sweep, trials=99).study_name == sweep.study_name
    assert small_sweep(recipe=dataclasses.replace(sweep.recipe, seed=5)).study_name == sweep.study_name
    drive(Study(small_sweep(trials=1, seeds=1)))
    assert list_studies("small") == [small_sweep(trials=1, seeds=1).study_name]


def test_a_study_of_another_identity_under_the_same_name_is_refused(runs):
    sweep = small_sweep(trials=1, seeds=1)
    study = Study(sweep).study
    study.set_user_attr("identity", study.user_attrs["identity"] | {"space": "something else"})
    with pytest.raises(BadInput, match=r"was begun as .*something else.*, this sweep is .*suggest_constant"):
        Study(sweep)


def test_a_run_in_use_elsewhere_is_waited_for(runs, monkeypatch):
    monkeypatch.setattr(studies, "TRY_AGAIN_S", 0.0)
    sweep = small_sweep(trials=1, seeds=2)
    study = Study(sweep)
    members = study.next()
    pool = Inline()
    with claim(folder_of(members[0].hash)):
        pool.submit(members)
        for ended in pool.ended(0):
            assert ended.in_use == (members[0],)
            study.told(ended)
        assert study.is_open
        assert states(sweep) == ["RUNNING"]
    drive(study, pool)
    assert states(sweep) == ["COMPLETE"]
    assert pool.submitted == [members, (members[0],)]


def test_one_driver_per_study(runs):
    sweep = small_sweep()
    path = journal_of(sweep.study_name)
    path.parent.mkdir(parents=True)
    with filelock.FileLock(path.parent / "held"), pytest.raises(BadInput, match="another process is working on sweep"):
        with holding(sweep):
            pass


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_a_torn_last_line_is_cut(runs, kept):
    """A full disk or a kill tears the journal's last line; the study goes on and loses that line alone."""
    sweep = small_sweep(trials=2, seeds=1)
    drive(Study(changed(sweep, trials=1)))
    path = journal_of(sweep.study_name)
    whole = path.read_bytes()
    torn = json.dumps({"op_code": 4, "worker_id": "x", "study_id": 0, "datetime_start": "2026"}).encode()
    path.write_bytes(whole + torn[: int(kept * len(torn))])
    with holding(sweep):
        assert path.read_bytes() == whole
        drive(Study(sweep))
    assert states(sweep) == ["COMPLETE"] * 2


def test_a_line_damaged_in_the_middle_is_named(runs):
    sweep = small_sweep(trials=1, seeds=1)
    drive(Study(sweep))
    path = journal_of(sweep.study_name)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\x00garbage\n" + b"".join(lines[2:]))
    with pytest.raises(BadInput, match=r"line 2 of .*journal\.log is damaged; move .* away"):
        Study(sweep)


def test_a_study_that_was_not_begun_is_not_made_by_looking(runs):
    with pytest.raises(BadInput, match="there is no study nothing"):
        open_study("nothing")
    assert not runs.exists()
