"""Whatever lies where our own files should be: one line that names it and what to do, or it does not matter."""

import json
import random
import re
import shutil
import time

import pytest

from experiments.__main__ import main
from experiments.errors import is_ours, run_command
from experiments.record import names
from experiments.record.delivery import Destination, address, deliver, undelivered
from experiments.record.folder import folder_of, list_runs
from experiments.work.model import load_model
from experiments.work.run import train_runs
from tests.support.small_runs import after, small_moons
from tests.support.small_workers import Inline

TEXTS = (names.RUN, names.STATUS, names.POINTS, names.RESULT, names.DELIVERIES, names.PROGRESS)
OTHERS = (names.CHECKPOINT, names.CURVES, names.EVALUATIONS, names.MODEL, names.CHANGES, "lock", "sending.lock")
CONTENTS = {
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "object": b"{}",
    "torn": b'{"status": "FIN',
    "deep": b"[" * 100_000,
    "keys": b'{"[]": {}, "null": null, "[\\"a\\"]": {"run_id": null, "points": 0, "status": null}}',
    "random": random.Random(0).randbytes(500),
    "directory": None,
}
WRONG = (None, [], {}, "x", -1, 2**80, True)
SECONDS = 120  # a file that hangs a command hangs it for good


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, migrated_store):
    """The folders of runs that one was trained to its end and the other stopped on its way, both delivered."""
    root = tmp_path_factory.mktemp("recorded") / "runs"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRL_RUNS", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr("experiments.work.checkpoint.EVERY_S", 0.0)
        train_runs([small_moons()])
        with pytest.raises(KeyboardInterrupt):
            train_runs([small_moons(seed=1)], must_stop=after(12))
        for seed in range(2):
            address(folder_of(small_moons(seed=seed).hash), Destination("moons"))
    return root


@pytest.fixture
def commands(recorded, runs, client, monkeypatch, capfd):
    """Everything that reads a run's folder, on a copy of the recorded ones; what it says and returns is looked at."""
    for folder in recorded.iterdir():
        if folder.is_dir():
            shutil.copytree(folder, runs / folder.name)
    monkeypatch.setattr("experiments.work.pools.Local", lambda *arguments: Inline())
    monkeypatch.setattr("experiments.training.together.examine_method", lambda *arguments: None)  # half of a training
    monkeypatch.setattr("experiments.launch.find_recipe", lambda name: lambda: [small_moons(), small_moons(seed=1)])
    monkeypatch.setenv("COLUMNS", "2000")

    def look(path) -> str:
        began_s = time.monotonic()
        said = ""
        for line in ("sync", "run moons"):
            code = run_command(main, line.split())
            out, err = capfd.readouterr()
            assert "Traceback" not in out + err, out + err
            assert code in (0, 1, 2)
            if code:
                assert path.parent.name in out + err
                assert re.search(r"(move|delete|train|bring|cannot be written|cannot be read)", out + err), out + err
            assert err.count("\n") <= 1
            said += out + err
        for folder in list_runs():
            try:
                load_model(folder)
            except Exception as error:
                if not is_ours(error):
                    raise
        undelivered()
        assert time.monotonic() - began_s < SECONDS
        return said

    return look


@pytest.mark.parametrize("seed", [0, 1], ids=["finished", "stopped"])
@pytest.mark.parametrize("name", TEXTS + OTHERS)
def test_any_file_of_ours_may_hold_anything(commands, runs, name, seed):
    folder = runs / small_moons(seed=seed).hash
    whole = shutil.copytree(folder, runs.parent / "whole")
    for kind in CONTENTS if name in TEXTS else ("empty", "random", "directory"):
        content = CONTENTS[kind]
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        path = folder / name
        path.unlink(missing_ok=True)
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
        commands(path)


@pytest.mark.parametrize("name", [names.RUN, names.STATUS, names.RESULT, names.DELIVERIES])
def test_any_value_of_our_json_may_be_another(commands, client, runs, name):
    folder = runs / small_moons().hash
    deliver(client, folder)
    whole = (folder / name).read_bytes()
    chance = random.Random(name)
    for key in json.loads(whole):
        value = json.loads(whole)
        value[key] = chance.choice(WRONG)
        if isinstance(json.loads(whole)[key], dict) and (inner := json.loads(whole)[key]):
            value[key] = inner | {chance.choice(list(inner)): chance.choice(WRONG)}
        (folder / name).write_text(json.dumps(value))
        commands(folder / name)


def test_what_is_no_run_may_lie_between_the_runs(commands, runs):
    for path in (".ipynb_checkpoints/run.json", "notes/readme.txt", "0123456789abcdef/run.json/x", ".trash/x/run.json"):
        (runs / path).parent.mkdir(parents=True, exist_ok=True)
        (runs / path).write_text("null")
    (runs / "file").write_bytes(b"\xff")
    (runs / small_moons().hash / ".ipynb_checkpoints").mkdir()
    assert len(list_runs()) == 2
    assert "error" not in commands(runs / "x")
    assert undelivered() == []
