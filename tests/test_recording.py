import json

import pytest
import torch

from experiments.errors import BadInput, RunInUse
from experiments.recording import Recording, claim, folder_of, read_json, read_points, write_atomically, write_json
from tests.small_runs import small_moons


@pytest.fixture
def folder(runs):
    folder = folder_of(small_moons())
    folder.mkdir(parents=True)
    return folder


def begin(folder) -> Recording:
    return Recording(folder, {"hash": folder.name, "tags": {"a": "1"}})


def steps(folder) -> list[int]:
    return [point["step"] for point in read_points(folder)]


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
    with pytest.raises(BadInput, match=r"x\.json is not readable JSON .*; move it away to train this run again"):
        read_json(folder / "x.json")


def test_one_process_at_a_time(folder):
    with claim(folder), pytest.raises(RunInUse, match=f"another process is training {folder.name}"), claim(folder):
        pass
    with claim(folder):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "file" / "runs"))
    with pytest.raises(BadInput) as caught, claim(folder_of(small_moons())):
        pass
    assert str(caught.value) == f"the results folder {tmp_path}/file/runs cannot be written: Not a directory"


def test_points_are_final_with_the_checkpoint(folder):
    recording = begin(folder)
    recording.log(1, {"loss": 1.0})
    assert steps(folder) == []
    recording.save({"step": 1})
    assert steps(folder) == [1]
    recording.log(2, {"loss": 0.5})
    assert [point["step"] for point in recording.points()] == [1, 2]
    assert steps(folder) == [1]


def test_points_after_the_last_checkpoint_are_cut_off(folder):
    recording = begin(folder)
    recording.log(1, {"loss": 1.0})
    recording.save({"step": 1})
    with (folder / "points.jsonl").open("a") as file:
        file.write('{"step": 2, "time_ms": 0, "values": {}}\n{"step": 3, "ti')  # a crash in the middle of a line
    assert begin(folder).state["step"] == 1
    assert steps(folder) == [1]
    assert (folder / "points.jsonl").read_text().count("\n") == 1


def test_a_failure_keeps_the_points_that_led_there(folder):
    recording = begin(folder)
    recording.log(1, {"loss": 1.0})
    recording.fail("loss is nan")
    assert steps(folder) == [1]
    assert read_json(folder / "status.json")["status"] == "FAILED"


def test_tags_are_added_and_a_resumed_run_keeps_its_start(folder):
    recording = begin(folder)
    recording.tag({"verdict": "reversed"})
    recording.save({"step": 1})
    before = read_json(folder / "run.json")
    assert before["tags"] == {"a": "1", "verdict": "reversed"}
    begin(folder)
    assert read_json(folder / "run.json") == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "has version 2, this program reads 1"),
        ({"hash": "0123456789abcdef"}, "belongs to run 0123456789abcdef, not to"),
        ({"points": 7}, "has 0 points, its checkpoint counts 7; delete the folder to start anew"),
    ],
    ids=["newer", "foreign", "points lost"],
)
def test_a_checkpoint_that_is_not_ours_is_refused(folder, change, message):
    begin(folder).save({"step": 1})
    path = folder / "checkpoint.pt"
    torch.save(torch.load(path) | change, path)
    with pytest.raises(BadInput) as caught:
        begin(folder)
    assert message in str(caught.value)


@pytest.mark.parametrize("size", [0, 100, -1], ids=["empty", "head", "all but a byte"])
def test_a_truncated_checkpoint_is_refused(folder, size):
    begin(folder).save({"step": 1, "weights": torch.zeros(1000)})
    path = folder / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(BadInput) as caught:
        begin(folder)
    assert str(caught.value).startswith(f"checkpoint {path} cannot be read (")
    assert str(caught.value).endswith("; delete it to start this run anew")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_is_data_and_never_runs_code(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    begin(folder)
    torch.save({"version": 1, "hash": folder.name, "points": 0, "trap": Trap()}, folder / "checkpoint.pt")
    with pytest.raises(BadInput, match="cannot be read"):
        begin(folder)
    assert not (tmp_path / "sprung").exists()


def test_points_file_is_one_json_object_per_line(folder):
    recording = begin(folder)
    recording.log(5, {"label_loss": 0.25})
    recording.save({"step": 5})
    [line] = (folder / "points.jsonl").read_text().splitlines()
    point = json.loads(line)
    assert (point["step"], point["values"]) == (5, {"label_loss": 0.25})
    assert point["time_ms"] > 1.7e12
