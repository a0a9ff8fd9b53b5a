import dataclasses
import functools
import sys

import pytest

from datasets import DatasetError
from experiments.errors import BadInput
from experiments.methods.cdan import CDAN
from experiments.networks.cnn import CNN
from experiments.networks.mlp import MLP
from grl.schedules import InverseDecay
from sweeps.__main__ import main
from sweeps.catalogue import SWEEPS
from sweeps.launch import find_sweeps, read_command


def read(line: str, name: str = "demo"):
    return read_command("run", name, line.split())


def test_options_of_the_search_of_the_recipe_and_of_how_in_any_order():
    launch = read("--seeds 4 --method cdan --workers 3 --trials 7 --steps 40 --method.entropy --lr 0.1 --ordered")
    [sweep] = launch.sweeps
    assert (sweep.search.seeds, sweep.search.trials, launch.how.workers, launch.order.ordered) == (4, 7, 3, True)
    assert sweep.recipe.method == CDAN(entropy=True)
    assert (sweep.recipe.steps, sweep.recipe.lr) == (40, InverseDecay(lr=0.1))


def test_another_pair_brings_a_network_that_fits_it():
    assert isinstance(read("--pair moons").sweeps[0].recipe.network, MLP)
    recipe = read("--pair syn_digits_to_syn_digits_m --method mdd --network.dropout 0").sweeps[0].recipe
    assert isinstance(recipe.network, CNN)
    assert (recipe.network.dropout, recipe.method.name, recipe.pair) == (0.0, "mdd", "syn_digits_to_syn_digits_m")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--trials 0", "trials must be >= 1, got 0"),
        ("--trials many", "--trials must be a whole number, got 'many'"),
        ("--trils 5", "unknown option --trils: did you mean --trials?"),
        ("--alpha.gama 5", "unknown option --alpha.gama: did you mean --alpha.gamma?"),
        ("--objective accuracy", "unknown objective 'accuracy': did you mean 'source_accuracy'?"),
        ("--sampler best", "'best'"),
        ("--workers 0", "workers must be >= 1, got 0"),
        ("--objective ensv", "objective ensv compares the evaluations of one run"),
        ("--pruner medain", "'medain'"),
        ("--pruner wilcoxon", "seeds must be >= 5 for pruner wilcoxon, got 2"),
        ("--seed -1", "seed must be >= 0, got -1"),
        ("--gpus -1", "gpus must be finite and >= 0, got -1"),
        ("--pruner median --evaluate-every 1000", "evaluate_every must be < steps (1000), got 1000"),
        ("--objective tests.support.small_sweeps:LARGEST --pruner hyperband", "pruner must be none or wilcoxon with"),
        ("--method experiments.methods:Method", "method must be a kind of Method that has a name"),
        ("--network experiments.networks:Network", "network must be a kind of Network that has a name"),
        ("--alpha grl.schedules:Schedule", "must be a kind of Schedule that has a name"),
        ("--method dan", "unknown method 'dan': did you mean 'dann'?"),
        ("--pair moons_to_nothing", "domain 'nothing' is unknown"),
        ("5", "options begin with --, got '5'"),
    ],
)
def test_what_cannot_be_used_is_one_line(line, said):
    with pytest.raises((BadInput, DatasetError)) as caught:
        read(line)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", SWEEPS)
def test_every_named_sweep_suggests_experiments_without_seeing_target_labels(name, runs):
    for sweep in find_sweeps(name):
        assert sweep.search.sees_target_labels is False
        assert main(["run", name, "--help"]) == 0


OWN = """
from experiments.recipes.moons import moons
from sweeps.spaces import suggest_alpha
from sweeps.sweep import Search, Sweep

def mine():
    return Sweep(name="mine", recipe=moons(), suggest=suggest_alpha, search=Search(trials=2, seeds=1))

def two():
    return [mine(), mine()]

def with_argument(pair):
    return mine()

def wrong():
    return [mine(), 5]

NUMBER = 5
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_sweeps.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_sweeps"
    sys.modules.pop("own_sweeps", None)


def test_a_sweep_of_a_users_own(own_module):
    launch = read("--trials 3", "own_sweeps:mine")
    assert [(each.name, each.search.trials) for each in launch.sweeps] == [("mine", 3)]
    assert launch.modules == ("own_sweeps",)
    assert len(read("", "own_sweeps:two").sweeps) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own_sweeps:with_argument", "must be a function without arguments that returns a Sweep"),
        ("own_sweeps:wrong", "must return a Sweep or a list of them"),
        ("own_sweeps:NUMBER", "must be a function without arguments that returns a Sweep"),
        ("own_sweeps:nothing", "module 'own_sweeps' has no 'nothing'"),
        ("no_such_module:mine", "there is no module 'no_such_module'"),
        ("demos", "unknown sweep 'demos': did you mean 'demo'?"),
    ],
)
def test_a_foreign_name_that_is_no_sweep(own_module, name, said):
    with pytest.raises(BadInput, match=said):
        read("", name)


def test_help_after_a_name_trains_nothing_and_lists_the_options(runs, capsys):
    for verb in ("run", "status", "show", "replay", "report"):
        assert main([verb, "demo", "--help"]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"usage: python -m sweeps {verb} NAME")
        assert "--objective" in said
        assert ("--ordered" in said.partition("options of the search:")[2]) == (verb == "run")
        assert "--method NAME: source_only, " in said
    assert not runs.exists()


def test_the_seed_is_the_search_s():
    [sweep] = read("--seed 5").sweeps
    assert sweep.search.seed == 5
    assert sweep.recipe == read("").sweeps[0].recipe


def test_commands_are_shown_as_they_were_typed(monkeypatch, own_module):
    [sweep] = read("--no-ordered --steps 40 --workers 3 --method.label-smoothing 0.1 --pair moons", "alpha").sweeps
    command = "python -m sweeps replay alpha --pair moons --steps 40 --method.label-smoothing 0.1"
    assert sweep.command("replay") == command
    again = read_command("status", "alpha", command.split()[5:]).sweeps
    assert again == [sweep]
    assert again[0].study_name == sweep.study_name
    assert read("", "own_sweeps:mine").sweeps[0].command("show") == "python -m sweeps show own_sweeps:mine"
    # The others need files that may not be here.
    here = {"syn_digits_to_syn_digits_m": "prepared"}
    monkeypatch.setattr("sweeps.catalogue.pair_fingerprint", lambda pair: here.get(pair, ""))
    members = read("--trials 3", "alpha_atlas").sweeps
    assert members[1].command("run") == f"python -m sweeps run alpha_atlas --pair {members[1].recipe.pair} --trials 3"
    assert read(f"--trials 3 --pair {members[1].recipe.pair}", "alpha_atlas").sweeps == [members[1]]


def test_the_studies_of_every_member_are_listed(runs, capsys):
    folder = runs / "studies" / "alpha_moons-01234567"
    folder.mkdir(parents=True)
    (folder / "journal.log").touch()
    assert main(["list"]) == 0
    assert "    alpha_moons-01234567" in capsys.readouterr().out.splitlines()


def test_a_trial_of_several_sweeps_is_refused(own_module):
    with pytest.raises(BadInput, match="a trial is of one sweep, and these are 2; give --pair"):
        main(["replay", "own_sweeps:two", "--trial", "3"])


def test_a_space_that_is_no_function_is_refused():
    [sweep] = read("").sweeps
    with pytest.raises(BadInput, match=r"suggest of sweep demo must be a function, got functools\.partial"):
        dataclasses.replace(sweep, suggest=functools.partial(sweep.suggest))


def test_every_verb_answers_help_with_examples(capsys):
    for verb in ("run", "status", "show", "replay", "report"):
        assert main([verb, "--help"]) == 0
        said = capsys.readouterr().out
        assert f"\n  python -m sweeps {verb}" in said, verb
    assert main(["list", "--help"]) == 0
    assert main([]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "run needs the name of a sweep: python -m sweeps list"),
        (["replay", "demo"], "replay needs a sweep and a trial"),
        (["replay", "demo", "--trial", "x"], "trial must be a whole number >= 0, got 'x'"),
        (["report", "demo", "--fresh", "0"], "fresh must be a whole number >= 1, got '0'"),
        (["lst"], "unknown command 'lst': did you mean 'list'?"),
        (["list", "all"], "list takes no arguments, got all"),
        (["status", "demo"], "sweep demo has no trial yet; start it with: python -m sweeps run demo"),
        (["report", "demo"], "sweep demo has no trial yet; start it with: python -m sweeps run demo"),
        (["report", "demo", "--fresh=0"], "fresh must be a whole number >= 1, got '0'"),
        (["replay", "demo", "--trial=3"], "sweep demo has no trial yet"),
        (["show", "demo", "--ordered"], "unknown option --ordered"),
        (["report", "demo", "--publish"], "unknown option --publish"),
        (["run", "demo", "--method", "coral"], "coral"),
        (["status", "demo", "--steps", "40"], "start it with: python -m sweeps run demo --steps 40"),
        (["show", "demo"], "sweep demo has no trial yet; start it with: python -m sweeps run demo"),
    ],
)
def test_mistaken_commands_name_one_that_exists(runs, arguments, said):
    with pytest.raises(BadInput, match=said):
        main(arguments)
    assert not (runs / "studies").exists()  # nothing is begun


@pytest.mark.timeout(300)
def test_a_sweep_of_a_users_own_runs_in_workers(own_module, client, capsys):
    assert main(["run", "own_sweeps:mine", "--steps", "20", "--evaluate-every", "20", "--workers", "2"]) == 0
    said = capsys.readouterr().out
    assert "best of 2 trials" in said
    assert "recorded in MLflow as 'sweep_mine'" in said
