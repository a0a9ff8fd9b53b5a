import subprocess
import sys
from pathlib import Path

import pytest

from experiments.record import ROOT
from results import __main__ as command
from results.__main__ import run


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the following arguments are required: {build,list}; see: python -m results --help"),
        (["biuld", "demo"], "unknown command 'biuld': did you mean 'build'? allowed are build, list"),
        (["build"], "the following arguments are required: NAME; see: python -m results --help"),
        (["build", "demo", "--onto", "x"], "unrecognized arguments: --onto x; see: python -m results --help"),
        (["list", "demo"], "unrecognized arguments: demo; see: python -m results --help"),
    ],
)
def test_bad_arguments_are_one_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 1
    assert capsys.readouterr() == ("", f"error: {complaint}\n")


def test_list_shows_what_can_be_built(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["toy", "18", "16", "2026-01-02", "00:00", "UTC"] in lines
    assert ["unfinished", "1", "0"] in lines
    assert lines[-1] == "next: python -m results build NAME".split()


def test_an_unknown_name_is_one_line(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "toi"]) == 1
    assert capsys.readouterr().err.startswith("error: unknown experiment 'toi': did you mean 'toy'?")


def test_an_interruption_says_what_is_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_arguments: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "main", interrupt)
    assert run(["list"]) == 130
    assert capsys.readouterr().err == "interrupted; files already written are whole\n"


def test_the_command_without_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRL_RUNS", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = subprocess.run(
        [sys.executable, "-m", "results", "build", "demo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("error: no runs recorded yet: ")


def test_a_whole_build_is_quiet_and_never_imports_torch(store: Path, tmp_path: Path) -> None:
    code = "import sys; from results.__main__ import run; run(sys.argv[1:]); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "build", "toy", "--into", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert lines[-1] == "False"
    assert lines[-2] == "next: make ui"
    assert f"  {tmp_path}/tables/toy.md" in lines
