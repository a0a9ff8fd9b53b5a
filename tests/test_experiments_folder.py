import json
import shutil
import subprocess
import sys

import pytest
import torch

from experiments.errors import BadInput
from experiments.record import names
from experiments.record.files import read_json
from experiments.record.folder import Recording, add_tags, folder_of, read_points
from experiments.work.checkpoint import Checkpoint
from experiments.work.run import train_runs
from tests.support.small_runs import small_moons


@pytest.fixture
def folder(runs):
    folder = folder_of(small_moons().hash)
    folder.mkdir(parents=True)
    return folder


def begin(folder, **tags) -> Recording:
    state = Checkpoint(folder).load()
    description = {"hash": folder.name, "tags": {"a": "1"} | tags}
    return Recording(folder, description, state["points"] if state else None)


def save(recording, **state):
    """As `run` does: points first, then the checkpoint that counts them, then the status."""
    Checkpoint(recording.folder).save(state | {"points": recording.keep()})
    recording.mark("RUNNING")


def steps(folder) -> list[int]:
    return [point["step"] for point in read_points(folder)]


def test_points_are_final_with_the_checkpoint(folder):
    recording = begin(folder)
    recording.log(1, {"loss": 1.0})
    assert steps(folder) == []
    save(recording, step=1)
    assert steps(folder) == [1]
    recording.log(2, {"loss": 0.5})
    assert [point["step"] for point in recording.points()] == [1, 2]
    assert steps(folder) == [1]


def test_points_after_the_last_checkpoint_are_cut_off(folder):
    recording = begin(folder)
    recording.log(1, {"loss": 1.0})
    save(recording, step=1)
    with (folder / "points.jsonl").open("a") as file:
        file.write('{"step": 2, "time_ms": 0, "values": {}}\n{"step": 3, "ti')  # a crash in the middle of a line
    begin(folder)
    assert Checkpoint(folder).load()["step"] == 1
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
    add_tags(folder, {"verdict": "reversed"})
    save(recording, step=1)
    before = read_json(folder / "run.json")
    assert before["tags"] == {"a": "1", "verdict": "reversed"}
    begin(folder)
    assert read_json(folder / "run.json") == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 1}, "has version 1, this program reads 2"),
        ({"hash": "0123456789abcdef"}, "belongs to run 0123456789abcdef, not to"),
        ({"points": 7}, "points.jsonl cannot be used: it has 0 points of 7; delete "),
    ],
    ids=["older", "foreign", "points lost"],
)
def test_a_checkpoint_that_is_not_ours_is_refused(folder, change, message):
    save(begin(folder), step=1)
    path = folder / "checkpoint.pt"
    torch.save(torch.load(path) | change, path)
    with pytest.raises(BadInput) as caught:
        begin(folder)
    assert message in str(caught.value)


@pytest.mark.parametrize("size", [0, 100, -1], ids=["empty", "head", "all but a byte"])
def test_a_truncated_checkpoint_is_refused(folder, size):
    save(begin(folder), step=1, weights=torch.zeros(1000))
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
    torch.save({"version": 2, "hash": folder.name, "points": 0, "trap": Trap()}, folder / "checkpoint.pt")
    with pytest.raises(BadInput, match="cannot be read"):
        begin(folder)
    assert not (tmp_path / "sprung").exists()


def test_points_file_is_one_json_object_per_line(folder):
    recording = begin(folder)
    recording.log(5, {"label_loss": 0.25})
    save(recording, step=5)
    [line] = (folder / "points.jsonl").read_text().splitlines()
    point = json.loads(line)
    assert (point["step"], point["values"]) == (5, {"label_loss": 0.25})
    assert point["time_ms"] > 1.7e12


def test_a_resumed_run_notes_other_code_versions_and_hardware_and_refuses_other_data(folder):
    begun = {"git_commit": "old", "versions": "torch 1", "hardware": "a", "program": "alone"}
    now = {"git_commit": "new", "git_diff": "d", "versions": "torch 2", "hardware": "b", "program": "together"}
    save(begin(folder, data_fingerprint="f1", **begun), step=1)
    begin(folder, data_fingerprint="f1", **now)
    tags = read_json(folder / "run.json")["tags"]
    assert tags.items() >= (begun | {f"resumed_{name}": value for name, value in now.items()}).items()
    with pytest.raises(BadInput) as caught:
        begin(folder, git_commit="new", data_fingerprint="f2")
    assert "was begun on data of fingerprint f1, here it is f2; bring back what it was begun on" in str(caught.value)
    assert Checkpoint(folder).load()["step"] == 1


def test_a_name_that_mlflow_refuses_is_refused_where_it_is_logged(folder):
    with pytest.raises(BadInput, match="got 'loss → 0'"):
        begin(folder).log(1, {"loss → 0": 1.0})


FULL_DISK = """
import resource, sys
from experiments.errors import run_command
from experiments.work import checkpoint
from experiments.work.run import train_runs
from tests.support.small_runs import small_moons
checkpoint.EVERY_S = checkpoint.COST_SHARE = 0.0
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
code = run_command(lambda arguments: len(train_runs([small_moons()])), [])
print(*sorted({"mlflow", "optuna", "matplotlib", "sqlalchemy"} & set(sys.modules)))
sys.exit(code)
"""


def test_a_full_disk_is_one_line_and_loses_nothing(runs):
    """A limit on the size of files stands for a full disk: every larger write fails as it would there."""
    train_runs([small_moons()])  # the environment's first imports write caches
    folder = folder_of(small_moons().hash)
    expected = read_json(folder / "result.json")["weights_sha256"]
    shutil.rmtree(folder)

    def train_with(limit: int) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", FULL_DISK, str(limit)]
        return subprocess.run(command, cwd=names.ROOT, capture_output=True, text=True)

    stopped = train_with(6_000)  # less than the first checkpoint
    assert stopped.returncode == 2, stopped.stderr
    assert stopped.stderr == f"error: the results folder {folder} cannot be written: File too large\n"
    finished = train_with(1 << 30)
    assert (finished.returncode, finished.stdout) == (0, "\n"), "a training needs none of these modules"
    assert read_json(folder / "result.json")["weights_sha256"] == expected
