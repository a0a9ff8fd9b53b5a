import optuna
import pytest

from sweeps.catalogue import SWEEPS
from sweeps.figures import FIGURES, draw_sweep
from sweeps.figures.base import find_floor, value_of
from sweeps.figures.parallel import share_axes
from sweeps.report import importances
from sweeps.study import completed
from sweeps.sweep import Sweep
from tests.support.small_sweeps import small_sweep


def tried(sweep: Sweep, trials: int) -> optuna.Study:
    """A study with made-up objectives, one of them far worse than the rest."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(trials):
        trial = study.ask()
        sweep.suggest(sweep.recipe, trial)
        if number % 5 == 4:
            trial.report(0.3, 1)
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        trial.set_user_attr("target_accuracy", 0.5 + number / 100)
        study.tell(trial, -50.0 if number == 3 else 0.4 + (number * 7 % 11) / 100)
    return study


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", ["demo", "alpha", "recipe"])
def test_every_figure_is_drawn_of_every_named_sweep_and_twice_the_same(name, tmp_path):
    sweep = SWEEPS[name]()
    study = tried(sweep, 24)
    paths = draw_sweep(sweep, study, tmp_path)
    # Of parameters that not every trial has there is no importance, and one alone explains all.
    assert [path.stem for path in paths] == [
        figure for figure in FIGURES if figure != "importance" or len(importances(study)) > 1
    ]
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in draw_sweep(sweep, study, tmp_path)] == before


def test_of_a_single_trial_is_drawn_what_there_is(tmp_path):
    assert [path.stem for path in draw_sweep(small_sweep(), tried(small_sweep(), 1), tmp_path)] == [
        "history",
        "slices",
        "schedules",
    ]


def test_one_bad_trial_does_not_take_all_room():
    trials = completed(tried(small_sweep(), 24))
    assert min(map(value_of, trials)) == -50.0
    assert find_floor(trials) > 0.2


def test_parameters_that_exclude_each_other_share_an_axis():
    trials = completed(tried(SWEEPS["alpha"](), 60))
    axes = share_axes(trials)
    assert sorted(name for names in axes for name in names) == sorted({name for t in trials for name in t.params})
    assert ["schedule"] in axes
    [levels] = [names for names in axes if "constant.value" in names]
    assert "ganin.alpha_max" in levels
    assert "linear.end" in levels
    assert "ganin.gamma" not in levels
    for names in axes:
        assert all(sum(name in trial.params for name in names) < 2 for trial in trials)
