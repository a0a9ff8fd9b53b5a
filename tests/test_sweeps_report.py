import numpy as np
import pytest
from optuna.trial import create_trial

from experiments.record.folder import folder_of
from experiments.record.names import TARGET_ACCURACY, TARGET_REST_ACCURACY
from experiments.training.machine import AUTOMATIC
from experiments.validators import VALIDATORS
from experiments.work import driver
from experiments.work.driver import Outcome
from experiments.work.run import train_runs
from grl.schedules import Constant
from sweeps import report as reporting
from sweeps.__main__ import report
from sweeps.launch import Launch
from sweeps.replay import replay_trial
from sweeps.report import FRESH, describe_pruning, list_contenders, regrets, write_report
from sweeps.study import Study, read_last
from tests.support.small_sweeps import Pretend, drive, small_sweep


@pytest.fixture
def study(runs):
    sweep = small_sweep(trials=3, seeds=2)
    study = Study(sweep)
    drive(study)
    return sweep, study.study


def test_the_winner_is_confirmed_on_seeds_that_the_search_has_not_seen(study):
    sweep, optuna_study = study
    contenders = list_contenders(sweep, optuna_study, 2)
    winner, default, *peers = contenders
    assert winner.name == f"trial {optuna_study.best_trial.number}"
    assert winner.runs[0].method.alpha == Constant(value=optuna_study.best_trial.params["constant.value"])
    assert default.runs[0].method == sweep.recipe.method
    assert {run.seed for contender in contenders for run in contender.runs} == {FRESH, FRESH + 1}
    # Over 30 steps of training some peers' schedules are one and the same.
    assert sum(len(peer.name.split(" = ")) for peer in peers) == 4
    courses = [tuple(peer.runs[0].method.alpha(step / 30, step=step) for step in range(30)) for peer in peers]
    assert len(set(courses)) == len(peers)


def test_the_report_says_what_was_measured(study):
    sweep, optuna_study = study
    contenders = list_contenders(sweep, optuna_study, 2)
    train_runs([run for contender in contenders for run in contender.runs])
    text = write_report(sweep, optuna_study, contenders)
    values = [read_last(run)["target_accuracy"] for run in contenders[0].runs]
    assert f"on 2 fresh seeds it is {np.mean(values):.3f}" in text
    promised = optuna_study.best_trial.user_attrs["target_accuracy"]
    assert f"the search was optimistic by {promised - np.mean(values):+.3f}" in text
    assert "no target label was used to choose" in text
    assert ("beyond noise" in text) or ("on fresh seeds it is" in text)


def test_regret_is_what_a_choice_costs(study):
    sweep, optuna_study = study
    trials = optuna_study.get_trials(deepcopy=False)
    accuracy = {trial.number: trial.user_attrs["target_accuracy"] for trial in trials}
    costs = regrets(sweep, trials)
    chosen = optuna_study.best_trial.number
    assert costs["information_maximisation"] == pytest.approx(max(accuracy.values()) - accuracy[chosen])
    assert all(cost >= 0 for cost in costs.values())
    assert "ensv" in costs


def test_where_target_labels_chose_what_is_told_is_of_samples_that_did_not(monkeypatch):
    monkeypatch.setattr(reporting, "VALIDATORS", {"nuclear_norm": VALIDATORS["nuclear_norm"]})
    trials = [
        create_trial(value=0.0, user_attrs={TARGET_ACCURACY: 0.9, TARGET_REST_ACCURACY: rest, "nuclear_norm": score})
        for rest, score in ((0.4, 1.0), (0.7, 0.0))
    ]
    assert regrets(small_sweep(objective="target_oracle"), trials) == {"nuclear_norm": pytest.approx(0.3)}
    assert regrets(small_sweep(), trials) == {"nuclear_norm": 0.0}


def test_a_pruned_trial_without_a_score_at_its_end_counts_as_failed(runs):
    sweep = small_sweep(trials=3, seeds=1)
    study = Study(sweep)
    drive(study, Pretend())
    sample = study.study.get_trials(deepcopy=False)[:2]
    result = folder_of(sample[0].user_attrs["runs"][0]) / "result.json"
    result.write_text(result.read_text().replace('"information_maximisation"', '"something_else"'))
    assert "1 of them, drawn at random, were trained to their end (trial 1 " in describe_pruning(
        sweep, study.study, sample
    )


def test_what_did_not_come_into_mlflow_is_said(runs, monkeypatch, capsys):
    sweep = small_sweep(trials=2, seeds=1)
    drive(Study(sweep), Pretend())
    monkeypatch.setattr(driver, "work_off", lambda *_args, **_options: Outcome(undelivered="the store is away"))
    monkeypatch.setattr(reporting, "list_contenders", lambda *_: [])
    monkeypatch.setattr(reporting, "write_report", lambda *_: "what was found")
    assert report(Launch([sweep])) == 1
    said = capsys.readouterr().out
    assert "not in MLflow: the store is away" in said
    assert "what was found" in said


def test_a_replayed_trial_gives_the_same_bits_and_touches_no_record(study, runs):
    sweep, _ = study
    before = sorted(path.name for path in runs.iterdir())
    replayed = list(replay_trial(sweep, 1, AUTOMATIC))
    assert len(replayed) == 2
    assert all(recorded == now and len(now) == 64 for _, recorded, now in replayed)
    assert sorted(path.name for path in runs.iterdir()) == before
