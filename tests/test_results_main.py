import subprocess
import sys
from pathlib import Path

import pytest

from experiments.errors import run_command
from experiments.record.names import ROOT
from experiments.validators import SELECTIONS
from results.__main__ import USAGE, VERBS, help_of, main
from results.drawing import FIGURES


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["biuld", "demo"], "unknown command 'biuld': did you mean 'build'? allowed are build, list, plan"),
        (["build"], "build needs a name: python -m results list"),
        (["build", "--publish"], "build needs a name: python -m results list"),
        (["build", "demo", "--onto", "x"], "unknown option '--onto': did you mean '--into'? allowed are "),
        (["build", "demo", "--where"], "--where needs a value; see: python -m results build --help"),
        (["build", "demo", "--into"], "--into needs a value; see: python -m results build --help"),
        (["build", "demo", "--into", "--publish"], "--into needs a value; see: python -m results build --help"),
        (["build", "demo", "--mixed=yes"], "unknown option '--mixed=yes': did you mean '--mixed'? allowed are "),
        (["plan"], "plan needs a name: python -m results list"),
        (["reproduce", "--budget", "full"], "reproduce needs a name: python -m results list"),
        (["plan", "ganin2016_table3"], "ganin2016_table3 cannot be built: Office-31"),
        (["build", "ganin2016_table3"], "ganin2016_table3 cannot be built: Office-31"),
        (["reproduce", "demo", "--budget", "some"], "unknown budget 'some': allowed are full, quick"),
        (["list", "demo"], "list takes no arguments, got demo"),
    ],
)
def test_bad_arguments_are_one_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {complaint}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_answers_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == main([verb, "anything", "-h"]) == 0
    assert capsys.readouterr().out.count(f"usage: python -m results {verb}") == 2
    assert f"  {verb}" in USAGE


@pytest.mark.parametrize("name", [*FIGURES, *SELECTIONS])
def test_help_names_every_figure_and_every_selection(name: str) -> None:
    assert name in help_of("build")


def test_without_a_verb_the_usage_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main([]), main(["--help"])) == (2, 0)
    assert capsys.readouterr().out == f"{USAGE}\n" * 2


def test_list_shows_what_can_be_built(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["toy", "18", "16", "2026-01-02", "00:00", "UTC"] in lines
    assert ["unfinished", "1", "0"] in lines
    assert lines[-1] == "next: python -m results plan TABLE".split()


def test_an_unknown_name_is_one_line(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, ["build", "toi"]) == 2
    assert capsys.readouterr().err.startswith("error: unknown experiment 'toi': did you mean 'toy'?")


def test_the_command_without_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRL_RUNS", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = subprocess.run(
        [sys.executable, "-m", "results", "build", "demo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("error: no runs recorded yet: ")


def test_a_whole_build_is_quiet_and_never_imports_torch(store: Path, tmp_path: Path) -> None:
    code = "import sys; from results.__main__ import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "build", "toy", "--into", str(tmp_path), "--selection=nuclear_norm", "--mixed"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert lines[-1] == "False"
    assert lines[-2] == "next: make ui"
    assert f"  {tmp_path}/toy.md" in lines
