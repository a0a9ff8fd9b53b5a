import dataclasses
import statistics

import filelock
import pytest
from rich.console import Console

from datasets import load_pair
from experiments import record, running
from experiments.errors import BadInput
from experiments.experiment import Experiment
from experiments.recording import claim, read_json, read_points
from experiments.worker import Event
from grl.schedules import Constant
from sweeps.catalogue import SWEEPS
from sweeps.study import journal_of, open_study, requeue_stale
from sweeps.tracking import report_study
from sweeps.worker import TrialEvent, work_off_sweep, work_on_study
from tests.small_sweeps import small_sweep, suggest_ruin


class Events(list):
    """Takes the place of the queue between processes."""

    put = list.append


def trials_of(sweep):
    return open_study(sweep).get_trials(deepcopy=False)


def test_a_trial_is_its_recipe_under_a_schedule_for_every_seed():
    experiments = small_sweep(seeds=3).experiments(Constant(value=0.3))
    assert [experiment.seed for experiment in experiments] == [0, 1, 2]
    assert {experiment.alpha for experiment in experiments} == {Constant(value=0.3)}
    recipe = small_sweep().recipe
    assert all(dataclasses.replace(e, alpha=recipe.alpha, seed=recipe.seed) == recipe for e in experiments)


@pytest.mark.parametrize("name", SWEEPS)
def test_named_sweeps_draw_valid_schedules_and_see_no_target_label(name, runs):
    sweep = SWEEPS[name]()
    assert sweep.name == name
    assert sweep.objective not in (record.SELECTED_TARGET_ACCURACY, "target_oracle")
    assert sweep.recipe.selection != "target_oracle"
    study = open_study(sweep)
    kinds = set()
    for _ in range(20):
        trial = study.ask()
        schedule = sweep.suggest(trial)
        assert all(isinstance(e, Experiment) for e in sweep.experiments(schedule))
        assert max(schedule(progress / 10) for progress in range(11)) <= 3.0
        # Names of parameters carry their schedule's, so that no two schedules share one.
        kind = trial.params["schedule"]
        assert set(trial.params) - {"schedule"} == {p for p in trial.params if p.startswith(f"{kind}.")} != set()
        kinds.add(kind)
        study.tell(trial, 0.0)
    assert kinds == {"constant", "ganin", "linear"}


def test_the_objective_is_the_mean_over_seeds(runs):
    sweep = small_sweep(trials=2)
    events = Events()
    work_on_study(sweep, events, 0)
    trials = trials_of(sweep)
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE"]
    for trial in trials:
        results = [read_json(runs / name / "result.json")["metrics"] for name in trial.user_attrs["runs"]]
        assert len(results) == 2
        assert trial.value == statistics.mean(result["selected_information_maximisation"] for result in results)
        hindsight = statistics.mean(result["selected_target_accuracy"] for result in results)
        assert trial.user_attrs["selected_target_accuracy"] == hindsight
    told = [event for event in events if isinstance(event, TrialEvent) and event.name == "told"]
    assert [(event.number, event.value) for event in told] == [(trial.number, trial.value) for trial in trials]


def test_no_target_label_reaches_objective_or_search(tmp_path, runs, monkeypatch):
    """Poisoned target labels change the accuracy told in hindsight, and nothing else."""
    pair = load_pair("moons")
    test = pair.evaluation.target_test
    wrong = dataclasses.replace(test, labels=1 - test.labels)
    poisoned = dataclasses.replace(
        pair,
        evaluation=dataclasses.replace(pair.evaluation, target_test=wrong),
        _open_target=lambda: pytest.fail("target training labels were opened"),
    )
    sweep, outcomes = small_sweep(trials=3, seeds=1), []
    for place, served in (("clean", pair), ("poisoned", poisoned)):
        monkeypatch.setenv("GRL_RUNS", str(tmp_path / place))
        monkeypatch.setattr(running, "load_pair", lambda name, served=served: served)
        work_on_study(sweep, Events(), 0)
        outcomes.append([(t.params, t.value, t.user_attrs["selected_target_accuracy"]) for t in trials_of(sweep)])
    clean, dirty = outcomes
    assert [trial[:2] for trial in clean] == [trial[:2] for trial in dirty]
    for (_, _, accuracy), (_, _, other) in zip(clean, dirty, strict=True):
        assert other == pytest.approx(1 - accuracy)
        assert other != accuracy


def test_a_diverged_trial_is_failed_counted_and_never_a_value(runs):
    sweep = small_sweep(trials=4, seeds=1, suggest=suggest_ruin)
    events = Events()
    work_on_study(sweep, events, 0)
    trials = trials_of(sweep)
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE", "FAIL"]
    assert [trial.value is None for trial in trials] == [False, True, False, True]
    failed = [event for event in events if isinstance(event, Event) and event.name == "failed"]
    assert [event.run for event in failed] == [trials[1].user_attrs["runs"][0]] * 2
    assert "alpha 1e+30, pair moons" in failed[0].message
    assert read_json(runs / failed[0].run / "status.json")["status"] == "FAILED"


def test_an_interrupted_trial_is_left_to_be_queued_again(runs, monkeypatch):
    sweep = small_sweep(trials=1)

    def interrupt(*arguments, **keywords):
        raise KeyboardInterrupt

    events = Events()
    monkeypatch.setattr("experiments.together.evaluate_together", interrupt)
    with pytest.raises(KeyboardInterrupt):
        work_on_study(sweep, events, 0)
    assert [trial.state.name for trial in trials_of(sweep)] == ["RUNNING"]
    assert events[-1].name == "ended"
    for name in trials_of(sweep)[0].user_attrs["runs"]:
        assert read_json(runs / name / "status.json")["status"] == "KILLED"


def test_a_run_in_use_elsewhere_is_waited_for(runs, monkeypatch):
    sweep = small_sweep(trials=1, seeds=1)
    held = []

    def let_go(seconds):
        held.pop().__exit__(None, None, None)

    monkeypatch.setattr("sweeps.worker.time.sleep", let_go)

    class Holding(Events):
        def put(self, event):
            if isinstance(event, TrialEvent) and event.name == "asked":
                held.append(claim(event.bundles[0].folder))
                held[0].__enter__()
            self.append(event)

    work_on_study(sweep, Holding(), 0)
    assert held == []
    assert [trial.state.name for trial in trials_of(sweep)] == ["COMPLETE"]


def test_a_trial_whose_runs_are_partly_done_is_completed(runs, monkeypatch):
    """A sweep killed while it wrote results, or one that asks for a run that was trained before."""
    sweep = small_sweep(trials=1, seeds=3)

    class Killed(Events):
        def put(self, event):
            if isinstance(event, Event) and event.name == "finished":
                raise KeyboardInterrupt
            self.append(event)

    with pytest.raises(KeyboardInterrupt):
        work_on_study(sweep, Killed(), 0)
    monkeypatch.setattr("sweeps.worker.time.sleep", lambda seconds: pytest.fail("waits for nobody"))
    study = open_study(sweep)
    assert requeue_stale(study) == 1
    events = Events()
    work_on_study(sweep, events, 0)
    [asked] = [event for event in events if isinstance(event, TrialEvent) and event.name == "asked"]
    assert (len(asked.experiments), [len(each.experiments) for each in asked.bundles]) == (3, [2])
    assert [trial.state.name for trial in trials_of(sweep)] == ["FAIL", "COMPLETE"]


def test_one_process_per_sweep(runs):
    sweep = small_sweep()
    runs.mkdir()
    with filelock.FileLock(f"{journal_of(sweep)}.held"), pytest.raises(BadInput) as caught:
        work_off_sweep(sweep, workers=1, console=Console())
    assert str(caught.value) == "another process is working on sweep small"


def test_a_whole_sweep_in_two_processes(client, runs, capsys, monkeypatch):
    """A killed trial, failed ones, good ones; then MLflow holds study -> trial -> seed, and nothing is left to do."""
    monkeypatch.setenv("COLUMNS", "300")
    sweep = small_sweep(trials=4, seeds=2, suggest=suggest_ruin)
    stale = open_study(sweep).ask()
    sweep.suggest(stale)
    outcome = work_off_sweep(sweep, workers=2, console=Console())
    said = capsys.readouterr().out
    assert "1 trials were left unfinished by a killed worker and are queued again" in said
    trials = trials_of(sweep)
    assert [trial.state.name for trial in trials] == ["FAIL", "FAIL", "COMPLETE", "FAIL", "COMPLETE"]
    assert trials[1].params == trials[0].params
    assert outcome.exit_code == 1
    assert [failure.split(":")[0] for failure in sorted(outcome.failed)] == ["trial 1", "trial 3"]
    assert outcome.undelivered == ""

    experiment_id = client.get_experiment_by_name("sweep_small").experiment_id
    found = {kind: [] for kind in ("study", "trial", "run")}
    for each in client.search_runs([experiment_id]):
        found[each.data.tags["kind"]].append(each)
    [study] = found["study"]
    best = max(trials[2].value, trials[4].value)
    assert (study.info.status, study.data.metrics["objective"]) == ("FINISHED", best)
    by_name = {trial.info.run_name: trial for trial in found["trial"]}
    assert {name: trial.info.status for name, trial in by_name.items()} == {
        f"trial {trial.number}": {"COMPLETE": "FINISHED", "FAIL": "FAILED"}[trial.state.name] for trial in trials
    }
    assert all(trial.data.tags["mlflow.parentRunId"] == study.info.run_id for trial in found["trial"])
    good = by_name["trial 2"]
    assert good.data.metrics["objective"] == trials[2].value
    assert good.data.params == {name: str(value) for name, value in trials[2].params.items()}
    children = [each for each in found["run"] if each.data.tags["mlflow.parentRunId"] == good.info.run_id]
    assert sorted(each.data.params["seed"] for each in children) == ["0", "1"]
    assert {each.info.status for each in children} == {"FINISHED"}
    ruined = [each for each in found["run"] if each.data.tags["mlflow.parentRunId"] == by_name["trial 3"].info.run_id]
    assert {each.info.status for each in ruined} == {"FAILED"}
    for child in children:
        points = read_points(runs / child.data.tags["hash"])
        history = client.get_metric_history(child.info.run_id, "label_loss")
        assert [(m.step, m.value) for m in history] == [
            (p["step"], p["values"]["label_loss"]) for p in points if "label_loss" in p["values"]
        ]

    monkeypatch.setattr("sweeps.worker.run_workers", lambda *arguments: pytest.fail("went to work again"))
    again = work_off_sweep(sweep, workers=2, console=Console())
    assert "all 4 trials of sweep small are already done" in capsys.readouterr().out
    assert (again.exit_code, len(client.search_runs([experiment_id]))) == (0, sum(map(len, found.values())))


def test_an_interrupted_study_is_not_finished(client, runs):
    sweep = small_sweep(trials=2, seeds=1)
    study = open_study(sweep)
    work_on_study(small_sweep(trials=1, seeds=1), Events(), 0)
    study.ask()
    report_study(client, sweep, study, "KILLED")
    experiment_id = client.get_experiment_by_name("sweep_small").experiment_id
    statuses = {each.info.run_name: each.info.status for each in client.search_runs([experiment_id])}
    assert statuses == {"small": "KILLED", "trial 0": "FINISHED", "trial 1": "KILLED"}
