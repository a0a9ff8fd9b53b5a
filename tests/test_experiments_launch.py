"""What a command asks for: recipes of the catalogue, of a user's own, pairs, recorded runs; and what is refused."""

import dataclasses
import json

import pytest

from experiments import __main__ as commands
from experiments.errors import BadInput, run_command
from experiments.experiment import Experiment
from experiments.identity import describe, path_of
from experiments.launch import How, check_all, read_command
from experiments.methods import METHODS
from experiments.methods.cdan import CDAN
from experiments.networks.cnn import CNN
from experiments.networks.mlp import MLP
from experiments.networks.moons import Moons
from experiments.networks.resnet import ResNet18
from experiments.recipes import RECIPES
from experiments.recipes.moons import moons
from experiments.recipes.numbers import ganin2016_table2
from experiments.training.fitted import run_before
from grl.schedules import Constant


@pytest.fixture(autouse=True)
def nothing_starts(tmp_path, monkeypatch):
    """No run may start here, and no data are at hand beside the built-in ones."""
    (tmp_path / "no data").mkdir()
    monkeypatch.setenv("GRL_DATA", str(tmp_path / "no data"))
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr("experiments.work.driver.work_off", lambda *a, **k: pytest.fail("began to train"))


@pytest.fixture(autouse=True, scope="module")
def prepared(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRL_PREPARED", str(tmp_path_factory.mktemp("prepared")))
        yield


def launched(line: str):
    name, *options = line.split()
    return read_command("run", name, options)


def refused(line: str, capsys, tmp_path) -> str:
    """The one line that a command says; nothing else, and nothing is recorded."""
    code = run_command(commands.main, line.split())
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()
    return said.err.removeprefix("error: ").rstrip()


# What is launched


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_without_options_is_itself(name):
    built = RECIPES[name]()
    expected = [built] if isinstance(built, Experiment) else built if isinstance(built, list) else next(built)
    assert launched(name).experiments == list(dict.fromkeys(expected))


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if isinstance(recipe(), Experiment)])
@pytest.mark.parametrize("method", METHODS)
def test_every_experiment_takes_every_method(name, method):
    [one] = launched(f"{name} --method {method} --seed 3").experiments
    assert (one.method.name, one.seed) == (method, 3)
    assert dataclasses.replace(one, method=RECIPES[name]().method, seed=0) == RECIPES[name]()


def test_tables_take_their_own_options_and_those_of_their_experiments():
    found = launched("moons_alphas --seeds 1 --steps 10 --evaluate-every 10 --workers 3 --device cpu")
    assert len(found.experiments) == 18
    assert {each.steps for each in found.experiments} == {10}
    assert found.how == How(workers=3, device="cpu")
    # An option that some of the runs have changes those.
    gammas = launched("demo --seeds 1 --alpha.gamma 5").experiments
    assert {getattr(getattr(each.method, "alpha", None), "gamma", None) for each in gammas} == {5.0, None}
    # A method for all of them leaves each run once.
    assert len(launched("demo --seeds 2 --method cdan").experiments) == 4


def test_every_method_of_a_table_has_its_anchors_and_no_run_twice():
    for name in ("demo", "mnist_m", "moons_alphas"):
        table = RECIPES[name]()
        assert len({each.hash for each in table}) == len(table)
        assert {"source_only", "dann", "target_only"} <= {each.method.name for each in table}
        with pytest.raises(BadInput, match="seeds must be >= 1, got 0"):
            launched(f"{name} --seeds 0")


@pytest.mark.parametrize(
    ("pair", "network"),
    [
        ("moons_rotated_to_moons", MLP),
        ("digits_m_to_digits", CNN),
        ("digits_to_syn_digits_m", CNN),
    ],
)
def test_any_pair_is_an_experiment_with_a_network_that_fits(pair, network):
    [one] = launched(f"{pair} --method cdan --steps 10").experiments
    assert one.pair == pair
    assert isinstance(one.network, network)
    assert isinstance(one.method, CDAN)
    check_all([one])


def test_a_recorded_run_is_launched_by_its_hash(tmp_path):
    experiment = dataclasses.replace(moons(), method=CDAN(entropy=True, alpha=Constant(value=0.1)), seed=7)
    folder = tmp_path / "runs" / experiment.hash
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"experiment": describe(experiment, name=path_of)}))
    assert launched(experiment.hash).experiments == [experiment]
    with pytest.raises(BadInput, match="there is no run 0123456789abcdef in"):
        launched("0123456789abcdef")
    for damaged in ({"class": "experiments.experiment:Experiment"}, {"class": "grl.schedules:Gone"}, {}):
        (folder / "run.json").write_text(json.dumps({"experiment": damaged}))
        with pytest.raises(BadInput, match=r"run\.json does not describe an experiment of this version"):
            launched(experiment.hash)


@pytest.mark.parametrize("name", RECIPES)
def test_help_shows_every_field_of_what_stands_beside_it(name):
    text = launched(f"{name} --method cdan --help").help
    for option in ("--steps", "--method.entropy", "--lr.", "--workers", "--device", "--compile"):
        assert option in text, option
    assert RECIPES[name].__doc__.splitlines()[0] in text
    for word in ("source_only", "resnet50", "adam", "inverse_decay"):
        assert word in text
    assert ("--seeds (default: " in text) == (not isinstance(RECIPES[name](), Experiment))


def test_help_prints_and_starts_nothing(capsys):
    assert run_command(commands.main, ["run", "moons", "--help"]) == 0
    assert "--method.alpha.gamma" in capsys.readouterr().out


def test_documented_commands_parse():
    examples = [line.split()[3:] for line in commands.VERBS["run"].splitlines() if line.startswith("  python")]
    assert len(examples) >= 4
    for _, name, *options in examples:
        if name not in ("my_module:my_recipe", "syn_digits_to_usps"):
            assert read_command("run", name, options).experiments


# A user's own


MINE = '''
"""What a user brings."""
from __future__ import annotations
import dataclasses
from dataclasses import dataclass
from experiments import Experiment
from experiments.methods.dann import DANN
from experiments.networks import Parts
from experiments.networks.moons import Moons
from grl.schedules import Constant

@dataclass(frozen=True, kw_only=True)
class Mine(DANN):
    """DANN under another name."""
    name = "mine"
    margin: float | None = None

@dataclass(frozen=True, kw_only=True)
class Needy(DANN):
    name = "needy"
    must: float

class Unlike:
    def __init__(self, a): ...

value = 3

def recipe() -> Experiment:
    """My own."""
    return Experiment(pair="moons", method=Mine(), network=Moons(), steps=10, evaluate_every=10, log_every=5)

def table(seeds: int = 2, weight: float = 1.0):
    """My table."""
    return [dataclasses.replace(recipe(), method=Mine(domain_weight=weight), seed=seed) for seed in range(seeds)]

def with_lambda(): return dataclasses.replace(recipe(), network=Parts(extractor=lambda: None))
def nothing(): return None
def empty(): return []
def mixed(): return [recipe(), 3]
def needs(x): return recipe()
def raises(): return {}["key"]
def picky(rate: float = 0.1): return dataclasses.replace(recipe(), lr=Constant(value=rate))
def staged(rate: float = 0.1):
    yield picky(rate)
def buggy(): raise ValueError("shape mismatch")
'''


def test_a_recipe_of_ones_own_and_its_table(own):
    own("mine", MINE)
    found = launched("mine:recipe --margin 10 --alpha 0.5 --steps 20")
    [one] = found.experiments
    assert (one.method.margin, one.method.alpha, one.steps) == (10.0, Constant(value=0.5), 20)
    assert one.description["method"]["class"] == "mine:Mine"
    assert (found.name, found.modules) == ("recipe", ("mine",))
    table = launched("mine:table --seeds 3 --weight 0.5").experiments
    assert [(each.seed, each.method.domain_weight) for each in table] == [(0, 0.5), (1, 0.5), (2, 0.5)]
    assert "My table." in launched("mine:table --help").help
    assert "--weight (default: 1.0)" in launched("mine:table --help").help
    [moons_with_mine] = launched("moons --method mine:Mine --method.margin 3").experiments
    assert moons_with_mine.method.margin == 3.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run mine:nope", "module 'mine' has no 'nope'"),
        (
            "run nomine:recipe",
            "there is no module 'nomine' to import for 'nomine:recipe'; is its folder in PYTHONPATH?",
        ),
        ("run mine:", "'mine:' is no import path; write package.module:name"),
        ("run mine:value", "mine:value must be a recipe, a function that returns an Experiment or a list, got 3"),
        ("run mine:Mine", "mine:Mine must return an Experiment or a list of them, got Mine("),
        ("run mine:Unlike", "mine:Unlike must be callable without arguments to be a recipe: missing"),
        ("run mine:nothing", "mine:nothing must return an Experiment or a list of them, got None"),
        ("run mine:empty", "mine:empty must return an Experiment or a list of them, got []"),
        ("run mine:mixed", "mine:mixed must return an Experiment or a list of them, got 3"),
        ("run mine:needs", "mine:needs must be callable without arguments to be a recipe: missing"),
        ("run mine:with_lambda", "mine:with_lambda.<locals>.<lambda> has no name that can be imported"),
        ("run mine:picky --rate -1", "rate -1.0: value must be finite and >= 0, got -1.0"),
        ("run mine:staged --rate -1", "rate -1.0: value must be finite and >= 0, got -1.0"),
        ("run mine:table --seeds x", "seeds must be a whole number, got x"),
        ("run moons --method mine:Needy", "method: Needy.__init__() missing 1 required keyword-only argument: 'must'"),
        ("run moons --method mine:Unlike", "method: Unlike.__init__() missing 1 required positional argument: 'a'"),
        ("run moons --method mine:value", "method must be a Method, got mine:value, which gives 3"),
    ],
)
def test_what_is_wrong_with_ones_own_is_one_line(own, line, message, capsys, tmp_path):
    own("mine", MINE)
    assert refused(line, capsys, tmp_path).startswith(message)


def test_a_bug_of_ones_own_keeps_its_traceback(own, tmp_path):
    own("mine", MINE)
    with pytest.raises(KeyError):
        run_command(commands.main, ["run", "mine:raises"])
    with pytest.raises(ValueError, match="shape mismatch"):
        run_command(commands.main, ["run", "mine:buggy"])
    assert not (tmp_path / "runs").exists()


# Refusals


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rum moons", "unknown command 'rum': did you mean 'run'?"),
        ("run", "run needs a name: python -m experiments list"),
        ("list moons", "list takes no arguments, got moons"),
        ("run mons", "unknown experiment, table or pair 'mons': did you mean 'moons'?"),
        ("show dem", "unknown experiment, table or pair 'dem': did you mean 'demo'?"),
        (
            "run moons --stepz 5",
            "unknown option --stepz: did you mean --steps? see: python -m experiments run moons --help",
        ),
        ("run moons --aplha 5", "unknown option --aplha: did you mean --alpha"),
        ("run demo --sedes 3", "unknown option --sedes: did you mean --seeds?"),
        ("run moons --method source_only --alpha.gamma 5", "unknown option --alpha.gamma"),
        ("run moons --pair moon", "pair 'moon' is unknown, did you mean 'moons'?"),
        ("run moons_to_mooons", "domain 'mooons' is unknown, did you mean 'moons'?"),
        ("run moons --workers 0", "workers must be >= 1, got 0"),
        ("show office_caltech10 --lr -1", "lr: lr must be finite and > 0, got -1.0; see: "),
        ("run moons --device gpu", "device 'gpu' is not available here: available are auto, cpu"),
        ("run moons --compile fast", "unknown compile 'fast'"),
        ("run moons --network cnn", "network cnn takes images (C, H, W), got inputs of shape (2,)"),
        ("run moons --augment.crop 3", "augment needs images (H, W, C), got samples of shape (2,)"),
        ("run syn_digits_to_syn_digits_m --network moons", "network moons takes inputs of shape (2,), got"),
        (
            "run syn_digits_to_syn_digits_m --network resnet18",
            "network resnet18 takes colour images of at least 32 × 32",
        ),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_recorded(line, message, capsys, tmp_path):
    assert refused(line, capsys, tmp_path).startswith(message)


def test_missing_data_name_the_command_that_fetches_them(capsys, tmp_path):
    said = refused("run mnist_to_mnist_m", capsys, tmp_path)
    assert str(tmp_path / "no data") in said
    assert "python -m datasets prepare mnist" in said


def test_weights_that_are_not_there_are_refused_before_a_run(tmp_path):
    from tests.support.trainings import image_pair

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.launch.load_pair", lambda name: image_pair(shape=(40, 40, 3)))
        with pytest.raises(BadInput, match="there is no such file"):
            check_all([dataclasses.replace(moons(), network=ResNet18(weights="/nowhere.pt"))])


def test_a_network_is_checked_once_for_all_methods_and_seeds(monkeypatch):
    checked = []
    monkeypatch.setattr("experiments.launch.check_fit", lambda *a, **k: checked.append(a) or 32)
    check_all(launched("demo --seeds 3").experiments)
    assert len(checked) == 2
    assert {type(network) for (network,) in checked} == {Moons, type(RECIPES["mnist_to_mnist_m_modern"]().network)}


# Showing


def test_show_prints_the_hash_of_what_would_run(capsys):
    line = "moons --steps 500 --alpha constant --alpha.value 0.3"
    assert run_command(commands.main, ["show", *line.split()]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (shown["steps"], shown["method.alpha"], shown["method.alpha.value"]) == ("500", "Constant", "0.3")
    [one] = launched(line).experiments
    assert (one.method.alpha, shown["hash"]) == (Constant(value=0.3), one.hash)


def test_show_a_table(capsys):
    assert run_command(commands.main, ["show", "demo", "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == [each.hash for each in RECIPES["demo"](seeds=2)]


def test_list_names_everything(capsys):
    assert run_command(commands.main, ["list"]) == 0
    out = capsys.readouterr().out
    for name, recipe in RECIPES.items():
        [line] = [line for line in out.splitlines() if line.split()[:1] == [name]]
        assert recipe.__doc__.splitlines()[0] in line


def test_help_and_no_command(capsys):
    for line, code in (("--help", 0), ("", 2)):
        assert run_command(commands.main, line.split()) == code
        assert capsys.readouterr().out.startswith("usage: python -m experiments COMMAND")
    for verb in commands.VERBS:
        assert run_command(commands.main, [verb, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: python -m experiments {verb}")


def test_ctrl_c_anywhere_is_exit_130(capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    assert run_command(interrupted, []) == 130
    assert capsys.readouterr().err == ""


def test_a_program_error_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda arguments: 1 // 0, [])


def test_a_table_is_taken_in_parts():
    whole = read_command("run", "ganin2016_table2", []).experiments
    part = read_command("run", "ganin2016_table2", ["--pairs", "syn_signs_to_gtsrb"]).experiments
    assert part == [each for each in whole if each.pair == "syn_signs_to_gtsrb"]
    assert len(whole) == 4 * len(part) == 60
    with pytest.raises(BadInput, match=r"unknown pairs 'svhn': .*syn_signs_to_gtsrb"):
        read_command("run", "ganin2016_table2", ["--pairs", "svhn"])


def test_table_2_ends_with_last_layers_fitted_again():
    stages = ganin2016_table2(1, "mnist_to_mnist_m")
    trained = next(stages)
    with pytest.raises(StopIteration) as end:
        stages.send(trained)
    rows = [(run.method.name, getattr(getattr(run.method, "after", None), "name", "")) for run in end.value.value]
    assert rows == [
        ("dann", ""), ("source_only", ""), ("target_only", ""),
        ("svm", "dann"), ("svm", "source_only"), ("sa", "source_only"),
    ]  # fmt: skip
    assert {run_before(run) for run in end.value.value[3:]} == set(trained[:2])
