import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.__main__ import main, parse
from datasets.domains import DOMAINS, NEEDS
from datasets.domains.base import Domain
from datasets.files.originals import Original
from tests.support.local_server import LocalServer

IMAGES = np.arange(40 * 9, dtype=np.uint32).astype(np.uint8)


def build_tiny(root):
    """Forty grey images.

    Source: a server on this machine
    Licence: none
    Citation: none
    """
    inputs = np.frombuffer((root / "tiny" / "images.bin").read_bytes(), np.uint8).reshape(-1, 3, 3, 1)
    return {"train_inputs": inputs, "train_labels": np.arange(len(inputs)) % 2}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))
    monkeypatch.setenv("GRL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def tiny(monkeypatch):
    """A domain whose only file comes from a server; `manner` says how it behaves."""

    def add(manner="good"):
        original = Original(
            path="tiny/images.bin",
            urls=(server.url(manner, "images.bin"),),
            checksum=f"sha256:{hashlib.sha256(IMAGES.tobytes()).hexdigest()}",
        )
        domain = Domain(
            name="tiny",
            title="Tiny",
            class_names=("a", "b"),
            shape=(3, 3, 1),
            counts=(40, 0),
            build=build_tiny,
            originals=(original,),
        )
        monkeypatch.setitem(DOMAINS, "tiny", domain)

    with LocalServer({"images.bin": IMAGES.tobytes()}) as server:
        yield add


def run(capsys, *arguments):
    status = main(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


def test_list_names_every_domain(capsys):
    status, out, _ = run(capsys, "list")
    assert status == 0
    for name, domain in DOMAINS.items():
        assert re.search(rf"^{name} +{len(domain.class_names)} ", out, re.M), name
    assert re.search(r"^moons .* embedded", out, re.M)
    assert re.search(r"^mnist .* to download", out, re.M)
    assert re.search(r"^office_caltech10_dslr_googlenet .* to fetch by hand", out, re.M)


def test_list_goes_on_after_damaged_files(capsys, tmp_path):
    np.savez(tmp_path / "x.npz", inputs=np.zeros((4, 5, 5), np.uint8), labels=[0, 1, 0, 1])
    for name in ("gone", "mine"):
        run(capsys, "add", name, str(tmp_path / "x.npz"))
    for name in ("moons", "gone"):
        (tmp_path / "prepared" / f"{name}.grl").write_bytes(b"GRLDATA1" + bytes(100))
    status, out, err = run(capsys, "list")
    assert (status, err) == (0, "")
    assert re.search(r"^moons .* damaged *$", out, re.M)
    assert re.search(r"^mine .* prepared *$", out, re.M)
    assert "gone" not in out
    assert run(capsys, "prepare", "moons", "--again")[0] == 0
    assert re.search(r"gone\.grl has a damaged header", run(capsys, "show", "gone")[2])


def test_show_writes_a_contact_sheet(capsys, tmp_path):
    status, out, _ = run(capsys, "show", "digits", "--sheet", str(tmp_path / "sheet.png"))
    assert status == 0
    assert "CC BY 4.0" in out
    assert "(as published)" in out
    assert "train: 1,297 samples of 28 × 28 × 1 uint8" in out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (16 * 56, 10 * 56)


def test_show_of_a_domain_that_is_also_a_pair(capsys):
    status, out, _ = run(capsys, "show", "moons")
    assert status == 0
    assert "Moons (moons)" in out
    assert "Moons → Moons rotated by 35° (moons)" in out
    assert "protocol: inductive" in out


def test_show_notices_a_damaged_byte(capsys, tmp_path):
    run(capsys, "prepare", "digits")
    path = tmp_path / "prepared" / "digits.grl"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    status, _, err = run(capsys, "show", "digits")
    assert status == 1
    assert "digits.grl is damaged: its SHA-256 is " in err


def test_prepare_downloads_checks_and_opens(capsys, tiny, tmp_path):
    tiny()
    status, out, err = run(capsys, "prepare", "tiny")
    assert (status, err) == (0, "")
    assert str(tmp_path / "prepared" / "tiny.grl") in out
    assert (tmp_path / "data" / "tiny" / "images.bin").read_bytes() == IMAGES.tobytes()
    assert run(capsys, "show", "tiny")[0] == 0


def test_what_is_prepared_needs_no_originals_again(capsys, tiny, tmp_path):
    tiny()
    run(capsys, "prepare", "tiny")
    shutil.rmtree(tmp_path / "data")
    tiny("missing")
    assert run(capsys, "prepare", "tiny")[0] == 0
    assert run(capsys, "prepare", "tiny", "--again")[0] == 1
    assert run(capsys, "show", "tiny")[0] == 0  # what was there stays


@pytest.mark.parametrize(
    ("manner", "message"),
    [("missing", "HTTP 404"), ("corrupt", "sha256 is "), ("truncated", "broke off after 180 of 360")],
)
def test_prepare_fails_in_one_line(capsys, tiny, tmp_path, manner, message):
    tiny(manner)
    status, _, err = run(capsys, "prepare", "tiny")
    assert status == 1
    assert err.startswith("error: images.bin could not be downloaded: http://127.0.0.1")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "prepared").exists()
    assert not (tmp_path / "data" / "tiny").exists()


def test_prepare_takes_pairs_of_several_sources(capsys, tmp_path):
    np.savez(tmp_path / "x.npz", inputs=np.ones((4, 2)), labels=[0, 1, 0, 1])
    assert run(capsys, "add", "mine", str(tmp_path / "x.npz"))[0] == 0
    assert main(["prepare", "mine+moons_to_moons_rotated"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["mine", "moons", "moons_rotated"]


def test_prepare_goes_on_after_a_failure_and_still_fails(capsys, tiny):
    tiny("missing")
    status, out, err = run(capsys, "prepare", "tiny", "moons_rotated")
    assert status == 1
    assert "moons_rotated.grl" in out
    assert err.startswith("error: images.bin could not be downloaded")


def test_a_typing_error_stops_before_anything_is_done(capsys, tmp_path):
    status, out, err = run(capsys, "prepare", "moons_rotated", "mnits")
    assert (status, out) == (1, "")
    assert err == "error: domain 'mnits' is unknown, did you mean 'mnist'?; see: python -m datasets list\n"
    assert not (tmp_path / "prepared").exists()


def test_prepare_table(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(NEEDS, "demo", ("moons",))
    assert run(capsys, "prepare", "--table", "demo")[0] == 0
    names = {path.name for path in (tmp_path / "prepared").iterdir() if path.suffix == ".grl"}
    assert names == {"moons.grl", "moons_rotated.grl"}


def test_prepare_of_nothing(capsys):
    status, _, err = run(capsys, "prepare")
    assert status == 1
    assert "name at least one domain or pair" in err


def test_add_then_use(capsys, tmp_path):
    np.savez(tmp_path / "x.npz", inputs=np.zeros((4, 5, 5), np.uint8), labels=[0, 1, 0, 1])
    status, out, _ = run(capsys, "add", "mine", str(tmp_path / "x.npz"))
    assert status == 0
    assert out == (
        "mine: 2 classes, 4 training and 0 test samples\n"
        "to train on it, add a second domain of the same classes (0, 1) and of samples like (5, 5, 1): "
        "python -m datasets add NAME PATH\n"
    )
    assert run(capsys, "add", "other", str(tmp_path / "x.npz"))[1].endswith(
        "train on it: python -m experiments run other_to_mine\n"
    )
    assert "SHA-256" in run(capsys, "show", "mine")[1]
    assert re.search(r"^mine +2 .* prepared", run(capsys, "list")[1], re.M)
    assert run(capsys, "show", "mine_to_other")[0] == 0


def test_digits_of_ones_own_are_paired_with_digits_that_are_at_hand(capsys, tmp_path):
    np.savez(tmp_path / "x.npz", inputs=np.zeros((20, 9, 9), np.uint8), labels=np.arange(20) % 10)
    out = run(capsys, "add", "mine", str(tmp_path / "x.npz"))[1]
    assert out.endswith("train on it: python -m experiments run mine_to_digits\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "moons", "--sheet", "x.xyz"], r"sheet must be a picture, such as sheet\.png, got x\.xyz"),
        (["show", "moons", "--sheet", "x"], r"sheet must be a picture, such as sheet\.png, got x"),
        (["show", "moons", "--sheet", "moons.png/x.png"], r"moons\.png/x\.png could not be written \(.*\)"),
        (["show", "moons", "--sheet", "x" * 300 + ".png"], r"x+\.png could not be written \(File name too long\)"),
        (["add", "x", "y" * 300], r"y+ cannot be read: .*File name too long.*"),
        (["add", "x", "list.txt"], r".*list\.txt line 1: there is no image .*z+\.png"),
        (["add", "x", "moons.png", "y" * 300], r"y+ cannot be read: .*File name too long.*"),
        (["add", "x", "list.txt", "--images", "y" * 300], r"y+ cannot be read: .*File name too long.*"),
        (["add", "x", "~nobody_of_this_name/y"], "~nobody_of_this_name/y cannot be read: Could not determine home .*"),
    ],
)
def test_paths_that_cannot_be_are_one_line(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("moons.png").write_bytes(b"")
    Path("list.txt").write_text("z" * 300 + ".png 0\n")
    status, _, err = run(capsys, *arguments)
    assert status == 1
    assert re.fullmatch(f"error: {message}\n", err)


@pytest.mark.parametrize("verb", [[], ["list"], ["show"], ["prepare"], ["add"]])
def test_every_verb_answers_help_with_examples_that_parse(capsys, verb):
    with pytest.raises(SystemExit) as stopped:
        main([*verb, "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    if verb:
        examples = re.findall(r"^  python -m datasets (.*)$", out.partition("examples:")[2], re.M)
        assert examples
        for example in examples:
            assert parse(example.split()).command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: the following arguments are required: command; see: python -m datasets --help"),
        (["shwo", "x"], r"error: argument command: invalid choice: 'shwo' .*; see: python -m datasets --help"),
        (["show"], "error: the following arguments are required: name; see: python -m datasets show --help"),
        (["add", "x", "y", "--size", "big"], "error: .*'big'; see: python -m datasets add --help"),
        (["prepare", "--table", "nine"], "error: .*'nine' .*; see: python -m datasets prepare --help"),
    ],
)
def test_a_command_that_cannot_be_read_is_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert re.fullmatch(message + "\n", err)


def test_missing_files_name_place_and_command(capsys, tmp_path):
    status, _, err = run(capsys, "show", "mnist_to_mnist_m")
    assert status == 1
    assert err == (
        f"error: mnist needs MNIST/raw/train-images-idx3-ubyte, which is not in {tmp_path / 'data'}; "
        "fetch it with: python -m datasets prepare mnist\n"
    )


def test_interrupt_is_not_a_traceback(capsys, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("datasets.__main__.prepare_domain", interrupt)
    status, _, err = run(capsys, "prepare", "moons")
    assert status == 130
    assert err.startswith("stopped; ")


def test_as_a_process(tmp_path):
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "datasets", "prepare", "office_caltech10_dslr_googlenet"]
    done = subprocess.run(command, cwd=root, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: office_caltech10/features/GoogleNet1024/dslr.mat cannot be fetched by a program: download "
    )
    assert done.stderr.count("\n") == 1
