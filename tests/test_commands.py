"""The command lines of experiments and sweeps, in process; what takes worker processes is tested beside the workers."""

import pytest

from experiments import __main__ as experiments_commands
from experiments.catalogue import EXPERIMENTS, TABLES
from experiments.errors import run_command
from experiments.moons import moons
from grl.schedules import Constant
from sweeps import __main__ as sweeps_commands
from sweeps.catalogue import SWEEPS


@pytest.fixture(autouse=True)
def nothing_starts(runs, tmp_path, monkeypatch):
    """No run may start here, and no data are at hand beside the built-in ones."""
    (tmp_path / "no data").mkdir()
    monkeypatch.setenv("GRL_DATA", str(tmp_path / "no data"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr("experiments.worker._train_all", lambda *a: pytest.fail("began to train"))
    monkeypatch.setattr("sweeps.worker._work", lambda *a: pytest.fail("began to train"))


def call(main, line: str, capsys) -> tuple[int, str, str]:
    code = run_command(main, line.split())
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rum moons", "unknown command 'rum': did you mean 'run'?"),
        ("run", "run needs a name: moons, "),
        ("list moons", "list takes no arguments, got moons"),
        ("run mons", "unknown experiment or table 'mons': did you mean 'moons'?"),
        ("show dem", "unknown experiment or table 'dem': did you mean 'demo'?"),
        ("run moons --method dan", "unknown method 'dan': did you mean 'dann'?"),
        ("run moons --method=dan", "unknown method 'dan': did you mean 'dann'?"),
        ("run moons --network monns", "unknown network 'monns': did you mean 'moons'?"),
        ("run moons --selection lst", "unknown selection 'lst': did you mean 'last'?"),
        ("run moons --pair moon", "pair 'moon' is unknown, did you mean 'moons'?"),
        ("run moons --steps -5", "steps must be >= 1, got -5"),
        ("run moons --batch-size 127", "batch_size must be even (half source, half target), got 127"),
        ("run moons --workers 0", "workers must be >= 1, got 0"),
        (
            "run moons --method source_only alpha:constant",
            "method source_only has no adversary: alpha and domain_weight",
        ),
        ("run moons alpha:none", "alpha must be a schedule for method dann, got None"),
        ("run demo --seeds 0", "seeds must be >= 1, got 0"),
    ],
)
def test_bad_input_is_one_line(line, message, capsys):
    code, out, err = call(experiments_commands.main, line, capsys)
    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize(
    ("line", "wrong", "near"),
    [
        ("run moons --stepz 5", "--stepz", "--steps"),
        ("run demo --sedes 3", "--sedes", "--seeds"),
        ("run moons --steps many", "--steps", "many"),
        ("run moons --optimiser.momentum 1", "optimiser.momentum must be in [0, 1), got 1.0", "optimiser"),
        ("run moons alpha:constant --alpha.value -1", "value must be finite and >= 0, got -1.0", "experiment.alpha"),
        ("run moons alpha:constant --alpha.value nan", "value must be finite and >= 0, got nan", "experiment.alpha"),
    ],
)
def test_what_the_parser_refuses_is_named_with_what_it_would_take(line, wrong, near, capsys):
    """In tyro's own box, not on one line."""
    with pytest.raises(SystemExit) as caught:
        call(experiments_commands.main, line, capsys)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert wrong in err
    assert near in err
    assert "Traceback" not in err


def test_missing_data_name_the_command_that_fetches_them(tmp_path, capsys):
    code, out, err = call(experiments_commands.main, "run mnist_to_mnist_m", capsys)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert str(tmp_path / "no data") in err
    assert "python -m datasets prepare mnist" in err


@pytest.mark.parametrize("main", [experiments_commands.main, sweeps_commands.main], ids=["experiments", "sweeps"])
def test_an_unwritable_results_folder_is_named(main, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "file" / "runs"))
    name = "moons" if main is experiments_commands.main else "demo"
    code, out, err = call(main, f"run {name}", capsys)
    assert (code, out) == (2, "")
    assert err == f"error: the results folder {tmp_path}/file/runs cannot be written: Not a directory\n"


def test_ctrl_c_anywhere_is_exit_130(capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    assert call(interrupted, "run moons", capsys) == (130, "", "")


def test_a_program_error_keeps_its_traceback():
    def broken(arguments):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(broken, [])


def test_help_and_no_command(capsys):
    for main, first in (
        (experiments_commands.main, "python -m experiments"),
        (sweeps_commands.main, "python -m sweeps"),
    ):
        for line, expected in (("--help", 0), ("", 2)):
            code, out, _ = call(main, line, capsys)
            assert code == expected
            assert out.startswith(f"usage: {first} COMMAND")


def test_list_names_everything(capsys):
    code, out, _ = call(experiments_commands.main, "list", capsys)
    assert code == 0
    for name, build in {**EXPERIMENTS, **TABLES}.items():
        [line] = [line for line in out.splitlines() if line.split()[:1] == [name]]
        assert build.__doc__.splitlines()[0] in line
    code, out, _ = call(sweeps_commands.main, "list", capsys)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(SWEEPS)


def test_show_prints_the_hash_of_what_would_run(capsys):
    code, out, _ = call(experiments_commands.main, "show moons --steps 500 alpha:constant --alpha.value 0.3", capsys)
    assert code == 0
    shown = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (shown["steps"], shown["alpha"], shown["alpha.value"]) == ("500", "Constant", "0.3")
    [one], _ = experiments_commands.parse("run", "moons", ["--steps", "500", "alpha:constant", "--alpha.value", "0.3"])
    assert (one.alpha, shown["hash"]) == (Constant(value=0.3), one.hash)


def test_show_a_table(capsys):
    code, out, _ = call(experiments_commands.main, "show demo --seeds 2", capsys)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [e.hash for e in TABLES["demo"](seeds=2)]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_takes_every_method(name):
    for method in ("source_only", "dann", "target_only"):
        [one], _ = experiments_commands.parse("run", name, ["--method", method, "--seed", "3"])
        assert (one.method, one.seed) == (method, 3)
        assert one == EXPERIMENTS[name]().with_method(method).__class__(**(vars(one)))


def test_no_option_is_the_named_experiment():
    assert experiments_commands.parse("run", "moons", [])[0] == [moons()]


def test_documented_commands_parse():
    examples = [
        line.split()[3:] for line in experiments_commands.USAGE.splitlines() if "python -m experiments run" in line
    ]
    assert len(examples) == 3
    for _, name, *options in examples:
        assert experiments_commands.parse("run", name, options)[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rum demo", "unknown command 'rum': did you mean 'run'?"),
        ("run", "run needs the name of a sweep: demo"),
        ("show demo more", "show needs the name of a sweep: demo"),
        ("run demmo", "unknown sweep 'demmo': did you mean 'demo'?"),
        ("run demo --wrokers 3", "unknown option '--wrokers': did you mean '--workers'?"),
        ("run demo --workers", "workers must be a whole number >= 1, got nothing"),
        ("run demo --workers 0", "workers must be a whole number >= 1, got 0"),
        ("run demo --workers 1.5", "workers must be a whole number >= 1, got 1.5"),
        ("show demo", "sweep demo has no trial yet; start it with: python -m sweeps run demo"),
    ],
)
def test_bad_input_to_sweeps_is_one_line(line, message, capsys):
    code, out, err = call(sweeps_commands.main, line, capsys)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
