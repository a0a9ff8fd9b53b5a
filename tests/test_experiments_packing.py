"""Runs in one file: packed on one machine, recorded on another as if they had been trained there."""

import io
import json
import lzma
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.__main__ import main
from experiments.errors import BadInput
from experiments.experiment import reverse
from experiments.record import names
from experiments.record.delivery import Destination, address, deliver_all, undelivered
from experiments.record.files import claim, read_json, write_atomically, write_json
from experiments.record.folder import folder_of, is_finished, list_runs
from experiments.record.packing import FILES, HEAVY, pack, unpack
from experiments.record.store import open_client
from experiments.work.done import is_done
from experiments.work.pairs import first_weights
from experiments.work.run import train_runs
from results.table import Request, make_table
from tests.support.small_runs import after, small_moons

RUNS = [small_moons(seed=seed, method=method) for method in ("source_only", "dann") for seed in (0, 1)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folders of four runs, and a pack of them."""
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRL_RUNS", str(root / "runs"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        train_runs(RUNS)
        for run in RUNS:
            address(folder_of(run.hash), Destination("toy"))
        assert pack("toy", root / "toy.tar.xz") == 4
    return root


@pytest.fixture
def packed(trained, runs, tmp_path):
    """Four runs, recorded here and in a pack."""
    shutil.copytree(trained / "runs", runs, dirs_exist_ok=True)
    for run in RUNS:  # to the store of this place
        address(folder_of(run.hash), Destination("toy"))
    return Path(shutil.copy(trained / "toy.tar.xz", tmp_path))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Another machine that has nothing yet."""
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


def contents(root) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for run in RUNS
        for path in (root / run.hash).iterdir()
        if path.name in (*FILES, names.CURVES)
    }


def rewrite(path, change, keep=lambda name: True) -> None:
    """The pack with other contents: `change` of a name and what it holds."""
    with tarfile.open(path) as old:
        files = [(entry.name, old.extractfile(entry).read()) for entry in old]
    with tarfile.open(path, "w:xz") as new:
        for name, content in files:
            if keep(name):
                entry, content = tarfile.TarInfo(name), change(name, content)
                entry.size = len(content)
                new.addfile(entry, io.BytesIO(content))


def document(client, **options):
    """What a table says, less the ids that each store gives to runs."""
    made = make_table(client, Request("toy", **options)).document
    appendix = [replace(grid, rows=[row[:-1] for row in grid.rows]) for grid in made.appendix]
    return replace(made, appendix=appendix)


def test_a_run_arrives_whole(packed, elsewhere, runs):
    taken, left = unpack(packed)
    assert sorted(folder.name for folder in taken) == sorted(run.hash for run in RUNS)
    assert not left
    assert contents(elsewhere) == contents(runs)
    assert all(is_done(run) for run in RUNS)


def test_the_same_runs_give_the_same_bytes(packed, tmp_path):
    pack("toy", tmp_path / "again.tar.xz")
    assert (tmp_path / "again.tar.xz").read_bytes() == packed.read_bytes()


def test_what_was_not_committed_stays_private(packed, tmp_path, monkeypatch):
    (folder_of(RUNS[0].hash) / names.CHANGES).write_text("a patch")
    pack("toy", packed)
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "elsewhere"))
    unpack(packed)
    assert (folder_of(RUNS[0].hash) / names.CHANGES).read_text() == "a patch"
    assert (folder_of(RUNS[0].hash) / names.CHANGES).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("written", range(7))
def test_an_unpacking_that_was_killed_is_done_again(written, packed, elsewhere, runs, monkeypatch):
    left = iter(range(written))

    def write(path, content, **how):
        if next(left, None) is None:
            raise KeyboardInterrupt
        write_atomically(path, content, **how)

    with monkeypatch.context() as patch:
        patch.setattr("experiments.record.packing.write_atomically", write)
        with pytest.raises(KeyboardInterrupt):
            unpack(packed)
    taken, left_out = unpack(packed)
    assert len(taken) == 4
    assert not left_out
    assert contents(elsewhere) == contents(runs)


@pytest.mark.parametrize("light", [False, True])
def test_a_table_of_unpacked_runs_is_the_table_of_the_runs(
    light, client, packed, tmp_path, migrated_store, monkeypatch
):
    deliver_all(client, list_runs())
    here, chosen = document(client), document(client, selection="information_maximisation")
    assert chosen != here
    pack("toy", file := tmp_path / "new folder" / "toy.tar.xz", light=light)
    assert (file.stat().st_size < packed.stat().st_size) == light
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(migrated_store, tmp_path / "elsewhere" / "mlflow.db")
    there = open_client()
    deliver_all(there, unpack(file)[0])
    assert undelivered() == []
    assert document(there) == here
    assert all(is_done(run) for run in RUNS)
    assert all((folder_of(run.hash) / file).exists() != light for run in RUNS for file in HEAVY)
    if light:
        with pytest.raises(BadInput, match=r"model\.pt is not there: unpack a pack that was not written with --light"):
            first_weights(reverse(RUNS[0]))
        deliver_all(there, unpack(packed)[0])  # the rest comes after it
    assert document(there, selection="information_maximisation") == chosen
    assert all((folder_of(run.hash) / file).exists() for run in RUNS for file in HEAVY)
    assert len(there.search_runs([there.get_experiment_by_name("toy").experiment_id])) == 4


def test_what_is_here_already_stays_as_it_is(packed, runs):
    before = contents(runs)
    stamps = {path: path.stat().st_mtime_ns for run in RUNS for path in folder_of(run.hash).glob("*.json")}
    taken, left = unpack(packed)
    assert len(taken) == 4
    assert not left
    assert contents(runs) == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_a_run_that_is_another_one_here_is_left_and_said(packed, elsewhere):
    begun, trained, other, fresh = RUNS
    with pytest.raises(KeyboardInterrupt):
        train_runs([begun], must_stop=after(15))
    train_runs([other])
    result = read_json(folder_of(other.hash) / names.RESULT)
    write_json(folder_of(other.hash) / names.RESULT, result | {"weights_sha256": "others"})
    before = {path: path.read_bytes() for run in (begun, other) for path in folder_of(run.hash).iterdir()}
    with claim(folder_of(trained.hash)):
        taken, left = unpack(packed)
    assert [folder.name for folder in taken] == [fresh.hash]
    assert sorted(line.partition(";")[0] for line in left) == sorted(
        [
            f"{begun.hash}: it was begun here",
            f"{trained.hash}: another process has it",
            f"{other.hash}: it is finished here, too, with other weights",
        ]
    )
    assert {path: path.read_bytes() for path in before} == before
    assert not any((folder_of(run.hash) / names.DELIVERIES).exists() for run in (begun, trained, other))
    train_runs([begun])
    assert is_done(begun)


def test_a_damaged_run_is_not_packed(packed):
    before = packed.read_bytes()
    (folder_of(RUNS[0].hash) / names.POINTS).write_text("")
    with pytest.raises(BadInput, match=r"points\.jsonl cannot be used: it has 0 points of \d+; delete .* to train"):
        pack("toy", packed)
    assert packed.read_bytes() == before


def test_only_finished_runs_of_the_name_are_packed(packed, tmp_path):
    half, other = small_moons(seed=7), small_moons(seed=8)
    with pytest.raises(KeyboardInterrupt):
        train_runs([half], must_stop=after(15))
    train_runs([other])
    address(folder_of(half.hash), Destination("toy"))
    address(folder_of(other.hash), Destination("toys", ("study", "trial 1")))
    assert pack("toy", tmp_path / "again.tar.xz") == 4
    assert pack("toys", tmp_path / "toys.tar.xz") == 1
    address(folder_of(other.hash), Destination("toy_search"))
    assert pack("toy", tmp_path / "again.tar.xz") == 5  # with what the table chooses by
    assert pack("toy_search", tmp_path / "again.tar.xz") == 1
    address(folder_of(half.hash), Destination("half"))
    with pytest.raises(BadInput, match="no run of half is finished"):
        pack("half", tmp_path / "half.tar.xz")
    with pytest.raises(BadInput, match="unknown name of runs 'tay': did you mean 'toy'"):
        pack("tay", tmp_path / "tay.tar.xz")
    assert not (tmp_path / "half.tar.xz").exists()


def test_a_sweep_s_runs_go_where_they_were(packed, tmp_path, monkeypatch):
    place = Destination("sweep_toy", ("study", "trial 1"))
    address(folder_of(RUNS[0].hash), place)
    pack("sweep_toy", tmp_path / "sweep.tar.xz")
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "elsewhere"))
    [folder], _ = unpack(tmp_path / "sweep.tar.xz")
    assert list(read_json(folder / names.DELIVERIES)) == [place.key]


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(share):
    def damage(path):
        content = bytearray(path.read_bytes())
        content[int(share * len(content))] ^= 255
        path.write_bytes(content)

    return damage


def sparse(path):
    with tarfile.open(path, "w:xz") as tar:
        entry = tarfile.TarInfo(f"{RUNS[0].hash}/run.json")
        entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**15)}
        tar.addfile(entry, io.BytesIO(b""))


def no_tar(path):
    path.write_bytes(lzma.compress(b"no tar"))


def linked(path):
    with tarfile.open(path, "w:xz") as tar:
        entry = tarfile.TarInfo(f"{RUNS[0].hash}/run.json")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)


def lacking(file):
    return lambda path: rewrite(path, lambda name, content: content, keep=lambda name: not name.endswith(file))


def holding(file, content):
    return lambda path: rewrite(path, lambda name, old: content if name.endswith(file) else old)


def another_hash(name, content):
    return content.replace(b'"hash": "', b'"hash": "0', 1) if name.endswith("run.json") else content


def renamed(new):
    def damage(path):
        with tarfile.open(path, "w:xz") as tar:
            tar.addfile(tarfile.TarInfo(new))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        *(cut, no_tar, linked, sparse),
        *(flip(share) for share in (0, 0.01, 0.2, 0.4, 0.5, 0.6, 0.8, 0.99, 0.9999)),
        *(lacking(file) for file in ("run.json", "points.jsonl", "result.json", "status.json", "destinations.json")),
        *(
            holding(file, content)
            for file in ("run.json", "points.jsonl", "result.json", "status.json", "destinations.json")
            for content in (b"", b"{", b"[1]", b"[[]]", b"{}", b"\xff", b"[" * 100_000)
        ),
        lambda path: rewrite(path, another_hash),
        holding("status.json", json.dumps({"status": "KILLED", "points": 1, "message": "", "time_ms": 1}).encode()),
        *(
            renamed(name)
            for name in ("", "run.json", "../run.json", "/etc/run.json", "a/run.json", f"{300 * 'a'}/run.json")
        ),
        *(
            renamed(f"{RUNS[0].hash}/{name}")
            for name in ("", "../run.json", "b/run.json", "lock", "checkpoint.pt", "deliveries.json")
        ),
    ],
)
def test_damage_is_said_and_records_nothing_false(damage, packed, elsewhere):
    damage(packed)
    with pytest.raises(BadInput, match=r"toy\.tar\.xz is no pack of runs, or is damaged: "):
        unpack(packed)
    # What stood before the damage is whole.
    assert all(is_finished(folder) and is_done(run) for run in RUNS if (folder := folder_of(run.hash)).exists()
               and (folder / names.RUN).exists())  # fmt: skip
    assert not [path for path in elsewhere.parent.iterdir() if path.name in FILES]


def test_a_file_that_is_not_there_and_a_folder_that_cannot_be_written(packed, tmp_path):
    with pytest.raises(BadInput, match=r"none\.tar\.xz cannot be read: No such file"):
        unpack(tmp_path / "none.tar.xz")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        pack("toy", tmp_path / "file" / "toy.tar.xz")


def test_a_pack_that_breaks_off_leaves_the_old_one(packed, monkeypatch):
    before = packed.read_bytes()

    def breaks(folders):
        yield folders[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack("toy", packed, follow=breaks)
    assert packed.read_bytes() == before
    assert not [path for path in packed.parent.iterdir() if path.name.startswith(".toy")]


def test_the_commands_say_what_they_did(packed, tmp_path, migrated_store, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["pack", "--light", "toy", f"{tmp_path}/light.tar.xz"]) == 0
    assert f"4 runs in {tmp_path}/light.tar.xz (0." in capsys.readouterr().out
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(migrated_store, tmp_path / "elsewhere" / "mlflow.db")
    assert main(["unpack", str(packed)]) == 0
    assert f"4 runs of {packed} are recorded in {tmp_path / 'elsewhere'}" in capsys.readouterr().out
    assert undelivered() == []
    (folder_of(RUNS[0].hash) / names.RESULT).unlink()
    assert main(["unpack", str(packed)]) == 1
    assert f"left out: {RUNS[0].hash}: it was begun here" in capsys.readouterr().out
