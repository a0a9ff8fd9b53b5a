import base64

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
from results.document import Document
from sweeps import document as documents
from sweeps import report as reporting
from sweeps.__main__ import report
from sweeps.document import describe_study
from sweeps.launch import Launch
from sweeps.replay import replay_trial
from sweeps.report import FRESH, describe_pruning, list_contenders, regrets
from sweeps.study import Study, folder_of_study, read_last
from sweeps.tracking import report_study
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
    document = describe_study(sweep, optuna_study, contenders)
    values = [read_last(run, sweep.search)["target_accuracy"] for run in contenders[0].runs]
    said = " ".join([*document.sentences, *document.notes])
    assert f"on 2 fresh seeds it is {np.mean(values):.3f}" in said
    promised = optuna_study.best_trial.user_attrs["target_accuracy"]
    assert f"the search was optimistic by {promised - np.mean(values):+.3f}" in said
    assert "no target label was used to choose" in said
    assert ("beyond noise" in said) or ("on fresh seeds it is" in said)
    assert "`python -m sweeps report small`" in document.origin
    confirmed, seeds, *_ = document.grids
    row = next(row for row in confirmed.rows if row[0] == contenders[0].name)
    assert row[1] == f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
    assert next(row for row in seeds.rows if row[0] == contenders[0].name)[1:] == [f"{value:.3f}" for value in values]


def test_what_target_labels_chose_is_marked(runs):
    sweep = small_sweep(trials=2, seeds=1, objective="target_oracle")
    study = Study(sweep)
    drive(study)
    contenders = list_contenders(sweep, study.study, 2)
    train_runs([run for contender in contenders for run in contender.runs])
    document = describe_study(sweep, study.study, contenders)
    marked = [row[0] for row in document.grids[0].rows if row[0].endswith(" †")]
    assert marked == [f"trial {study.study.best_trial.number} †"]
    assert [row[0] for row in document.grids[1].rows if row[0].endswith(" †")] == marked
    assert "† chosen by target labels" in document.notes[0]


def test_the_report_is_a_page_that_mlflow_keeps_too(client, study, monkeypatch, capsys):
    """In every format, with the figures inside the page; and each contender is trained once."""
    monkeypatch.setenv("COLUMNS", "80")
    sweep, optuna_study = study
    report_study(client, sweep, optuna_study, "FINISHED")
    folder = folder_of_study(sweep.study_name)
    (folder / "figures").mkdir()
    (folder / "figures" / "history.png").write_bytes(b"a picture")
    assert report(Launch([sweep], number=2)) == 0
    page = (folder / "report.html").read_text()
    assert base64.b64encode(b"a picture").decode() in page
    winner = f"trial {optuna_study.best_trial.number}"
    for ending in ("md", "tex", "html"):
        assert winner in (folder / f"report.{ending}").read_text()
    shown = capsys.readouterr().out
    assert "on fresh seeds" in shown
    assert max(map(len, (line for line in shown.splitlines() if winner in line and "report" not in line))) <= 80
    [kept] = client.search_runs([client.get_experiment_by_name("sweep_small").experiment_id], "tags.kind = 'study'")
    assert {each.path for each in client.list_artifacts(kept.info.run_id, "report")} == {
        f"report/report.{ending}" for ending in ("md", "tex", "html")
    }


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
    found = Document("small", [], ["what was found"], [], "somewhere")
    monkeypatch.setattr(documents, "describe_study", lambda *_: found)
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
