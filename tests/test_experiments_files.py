import pytest

from experiments.errors import BadInput, RunInUse
from experiments.record.files import claim, read_json, write_atomically, write_json
from experiments.record.folder import folder_of
from tests.support.small_runs import small_moons


@pytest.fixture
def folder(runs):
    folder = folder_of(small_moons().hash)
    folder.mkdir(parents=True)
    return folder


def test_a_write_that_breaks_off_leaves_the_old_file(folder, monkeypatch):
    path = folder / "x.json"
    write_json(path, {"old": 1})

    def crash(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"half")
    assert read_json(path) == {"old": 1}
    assert [file.name for file in folder.iterdir()] == ["x.json"]


def test_json_without_nan_and_a_broken_file_named(folder):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(folder / "x.json", {"loss": float("nan")})
    assert read_json(folder / "x.json") is None
    (folder / "x.json").write_text('{"half')
    with pytest.raises(BadInput, match=rf"x\.json cannot be used: .*; move {folder} away to train this run again$"):
        read_json(folder / "x.json")


def test_one_process_at_a_time(folder):
    with claim(folder), pytest.raises(RunInUse, match=f"another process is training {folder.name}"), claim(folder):
        pass
    with claim(folder):
        pass


def test_what_a_killed_process_left_half_written_is_cleared_away(folder):
    (folder / ".checkpoint.pt.4711").write_bytes(b"half")
    (folder / ".deliveries.json.4711").write_bytes(b"being written by the delivery")
    with claim(folder):
        assert {path.name for path in folder.iterdir()} == {"lock", ".deliveries.json.4711"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "file" / "runs"))
    with pytest.raises(BadInput) as caught, claim(folder_of(small_moons().hash)):
        pass
    assert str(caught.value) == f"the results folder {tmp_path}/file/runs cannot be written: Not a directory"
