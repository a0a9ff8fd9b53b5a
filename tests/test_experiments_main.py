"""The command line of experiments, in process; what takes worker processes is tested beside the workers."""

import os
import subprocess
import sys

import pytest

from experiments.__main__ import USAGE, VERBS, main
from experiments.errors import run_command
from experiments.launch import read_command
from experiments.recipes import RECIPES
from experiments.recipes.moons import moons
from grl.schedules import Constant


@pytest.fixture(autouse=True)
def nothing_starts(runs, tmp_path, monkeypatch):
    """No run may start here, and no data are at hand beside the built-in ones."""
    (tmp_path / "no data").mkdir()
    monkeypatch.setenv("GRL_DATA", str(tmp_path / "no data"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr("experiments.work.local.Local.submit", lambda *a: pytest.fail("began to train"))


def call(line: str, capsys, main=main) -> tuple[int, str, str]:
    code = run_command(main, line.split())
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rum moons", "unknown command 'rum': did you mean 'run'?"),
        ("run", "run needs a name: python -m experiments list"),
        ("show", "show needs a name: python -m experiments list"),
        ("list moons", "list takes no arguments, got moons"),
        ("pack", "pack takes a name, a file and --light, got nothing"),
        ("pack demo", "pack takes a name, a file and --light, got demo"),
        ("pack demo demo.tar.xz --lite", "pack takes a name, a file and --light, got demo demo.tar.xz --lite"),
        ("pack demo --light", "pack takes a name, a file and --light, got demo --light"),
        ("pack demo .", "a pack is a file, such as demo.tar.xz, got the folder ."),
        ("pack demo demo.tar.xz", "nothing to pack: no run is recorded in "),
        ("unpack", "unpack takes one file, got nothing"),
        ("unpack no.tar.xz", "no.tar.xz cannot be read: No such file or directory"),
        ("log-model", "log-model needs the hash of one run: python -m experiments show NAME"),
        ("run mons", "unknown experiment, table or pair 'mons': did you mean 'moons'?"),
        ("show dem", "unknown experiment, table or pair 'dem': did you mean 'demo'?"),
        ("run 0123456789abcdef", "there is no run 0123456789abcdef in"),
        ("run moons --method dan", "unknown method 'dan': did you mean 'dann'?"),
        ("run moons --method=dan", "unknown method 'dan': did you mean 'dann'?"),
        ("run moons --network monns", "unknown network 'monns': did you mean 'moons'?"),
        ("run moons --pair moon", "pair 'moon' is unknown, did you mean 'moons'?"),
        ("run moons --steps -5", "steps must be >= 1, got -5"),
        ("run moons --batch-size 127", "batch_size must be even (half source, half target), got 127"),
        ("run moons --workers 0", "workers must be >= 1, got 0"),
        ("run moons --stepz 5", "--steps"),
        ("run demo --sedes 3", "--seeds"),
        ("run moons --optimiser.momentum 1", "optimiser.momentum must be in [0, 1), got 1.0"),
        ("run demo --seeds 0", "seeds must be >= 1, got 0"),
    ],
)
def test_bad_input_is_one_line(line, message, capsys):
    code, out, err = call(line, capsys)
    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert out == ""


def test_missing_data_name_the_command_that_fetches_them(tmp_path, capsys):
    code, out, err = call("run mnist_to_mnist_m", capsys)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert str(tmp_path / "no data") in err
    assert "python -m datasets prepare mnist" in err


def test_an_unwritable_results_folder_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "file" / "runs"))
    code, out, err = call("run moons", capsys)
    assert (code, out) == (2, "")
    assert err == f"error: the results folder {tmp_path}/file/runs cannot be written: Not a directory\n"


def test_ctrl_c_anywhere_is_exit_130(capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    assert call("run moons", capsys, interrupted) == (130, "", "")


@pytest.mark.parametrize("length", [10, 1_000_000])  # what a pipe and its buffer hold, and more
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_error(length, unbuffered, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    said = f"from experiments.errors import run_command; run_command(lambda _: print('x' * {length}) or 0, [])"
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([sys.executable, "-c", said], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert ended.stderr == b""


@pytest.mark.parametrize("error", [ZeroDivisionError, BrokenPipeError])  # of a worker's pipe, not of the terminal
def test_a_program_error_keeps_its_traceback(error):
    def broken(arguments):
        raise error

    with pytest.raises(error):
        run_command(broken, [])


def test_help_and_no_command(capsys):
    for line, expected in (("--help", 0), ("", 2)):
        code, out, _ = call(line, capsys)
        assert (code, out) == (expected, f"{USAGE}\n")
    for verb, text in VERBS.items():
        assert call(f"{verb} --help", capsys) == (0, f"{text}\n", "")


def test_list_names_everything(capsys):
    code, out, _ = call("list", capsys)
    assert code == 0
    for name, build in RECIPES.items():
        [line] = [line for line in out.splitlines() if line.split()[:1] == [name]]
        assert build.__doc__.splitlines()[0] in line


def test_show_prints_the_hash_of_what_would_run(capsys):
    options = "--steps 500 --alpha constant --alpha.value 0.3"
    code, out, _ = call(f"show moons {options}", capsys)
    assert code == 0
    shown = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (shown["steps"], shown["method.alpha"], shown["method.alpha.value"]) == ("500", "Constant", "0.3")
    [one] = read_command("run", "moons", options.split()).experiments
    assert (one.method.alpha, shown["hash"]) == (Constant(value=0.3), one.hash)


def test_show_a_table(capsys):
    code, out, _ = call("show demo --seeds 2", capsys)
    assert code == 0
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert lines == [[each.hash, each.title] for each in RECIPES["demo"](seeds=2)]


def test_no_option_is_the_named_experiment():
    assert read_command("run", "moons", []).experiments == [moons()]
