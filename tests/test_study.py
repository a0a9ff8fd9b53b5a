import threading

import filelock
import optuna
from optuna.trial import TrialState

from sweeps.study import ask_for_trial, count_missing, journal_of, open_study, requeue_stale
from tests.small_sweeps import small_sweep


def states(study) -> list[str]:
    return [trial.state.name for trial in study.get_trials(deepcopy=False)]


def test_a_study_survives_its_process(runs):
    sweep = small_sweep()
    trial = ask_for_trial(open_study(sweep), sweep)
    open_study(sweep).tell(trial.number, 0.5)
    again = open_study(sweep)
    assert journal_of(sweep).parent == runs
    assert (states(again), again.best_value, again.direction.name) == (["COMPLETE"], 0.5, "MAXIMIZE")


def test_failed_trials_count_and_a_complete_sweep_asks_no_more(runs):
    sweep = small_sweep(trials=2)
    study = open_study(sweep)
    assert count_missing(study, sweep) == 2
    study.tell(ask_for_trial(study, sweep), state=TrialState.FAIL)
    assert count_missing(study, sweep) == 1
    study.tell(ask_for_trial(study, sweep), 1.0)
    assert count_missing(study, sweep) == 0
    assert ask_for_trial(study, sweep) is None


def test_a_running_trial_counts_for_the_other_workers(runs):
    sweep = small_sweep(trials=1)
    assert ask_for_trial(open_study(sweep, worker=0), sweep) is not None
    assert ask_for_trial(open_study(sweep, worker=1), sweep) is None


def test_a_stale_trial_is_failed_and_asked_again_with_its_parameters(runs):
    sweep = small_sweep(trials=2)
    study = open_study(sweep)
    stale = ask_for_trial(study, sweep)
    sweep.suggest(stale)
    assert requeue_stale(open_study(sweep)) == 1
    study = open_study(sweep)
    assert states(study) == ["FAIL", "WAITING"]
    assert count_missing(study, sweep) == 2  # the stale one does not count
    again = ask_for_trial(study, sweep)
    assert sweep.suggest(again) == sweep.suggest(stale)
    study.tell(again, 0.1)
    study.tell(ask_for_trial(study, sweep), 0.2)
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE"]
    assert ask_for_trial(study, sweep) is None
    assert requeue_stale(study) == 0


def test_a_trial_that_died_before_its_parameters_is_not_lost(runs):
    sweep = small_sweep(trials=1)
    ask_for_trial(open_study(sweep), sweep)
    study = open_study(sweep)
    requeue_stale(study)
    assert count_missing(study, sweep) == 1
    again = ask_for_trial(study, sweep)
    assert 0.1 <= sweep.suggest(again).value <= 3.0
    study.tell(again, 0.5)
    assert count_missing(study, sweep) == 0


def test_one_worker_repeats_itself_and_two_do_not_repeat_each_other(tmp_path, monkeypatch):
    def first_values(place: str, worker: int, count: int = 3) -> list[float]:
        monkeypatch.setenv("GRL_RUNS", str(tmp_path / place))
        sweep = small_sweep(trials=100)
        study = open_study(sweep, worker)
        values = []
        for _ in range(count):
            trial = study.ask()
            values.append(sweep.suggest(trial).value)
            study.tell(trial, 0.5)
        return values

    alone = first_values("a", 0)
    assert first_values("b", 0) == alone
    assert not set(first_values("c", 1)) & set(alone)
    # A later call goes on exploring instead of repeating its first trials.
    assert not set(first_values("a", 0)) & set(alone)


def test_asking_waits_for_its_turn(runs):
    """Two workers that count and ask at once could begin one trial too many."""
    sweep = small_sweep()
    study = open_study(sweep)
    asked = []
    with filelock.FileLock(f"{journal_of(sweep)}.ask.lock"):
        thread = threading.Thread(target=lambda: asked.append(ask_for_trial(study, sweep)))
        thread.start()
        thread.join(0.2)
        assert not asked
    thread.join(10)
    assert isinstance(asked[0], optuna.Trial)


def test_opening_warns_of_nothing(runs, recwarn):
    open_study(small_sweep())
    assert [str(warning.message) for warning in recwarn] == []
