import os
import signal
import time

import pytest
from rich.console import Console

from experiments.errors import BadInput
from experiments.record import names
from experiments.record.files import claim, read_json
from experiments.record.folder import folder_of, read_points
from experiments.work import done, driver
from experiments.work.bundles import bundle
from experiments.work.driver import Ended, Outcome, work_off
from experiments.work.local import Local
from experiments.work.run import train_runs
from grl.schedules import InverseDecay
from tests.support.recorded_curves import curves_of, recorded_curves
from tests.support.small_runs import after, small_moons
from tests.support.small_workers import Inline


def work_here(experiments, name="toy", pool=None) -> Outcome:
    return work_off(
        experiments, name, open_pool=lambda bundles: pool or Inline(), bundle=bundle, console=Console(width=300)
    )


def runs_in(client, name="toy") -> dict:
    found = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    return {each.data.tags["hash"]: each for each in found}


def time_of(experiment) -> int:
    return read_json(folder_of(experiment.hash) / "status.json")["time_ms"]


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome(trained=3), 0),
        (Outcome(skipped=3), 0),
        (Outcome(trained=2, failed=["diverged"]), 1),
        (Outcome(in_use=["dann moons"]), 1),
        (Outcome(undelivered="no store"), 1),
        (Outcome(failed=["diverged"], interrupted=True), 130),
    ],
)
def test_exit_codes(outcome, code):
    assert outcome.exit_code == code


def test_a_list_with_good_done_diverging_and_claimed_runs(client, capsys):
    good, done_before, wild, claimed = (small_moons(seed=seed) for seed in range(4))
    wild = small_moons(seed=2, lr=InverseDecay(lr=1e30))
    also_good = small_moons(method="source_only")
    train_runs([done_before])
    trained_first = time_of(done_before)
    with claim(folder_of(claimed.hash)):
        outcome = work_here([wild, good, done_before, claimed, also_good])
    said = capsys.readouterr().out
    assert (outcome.trained, outcome.skipped, outcome.undelivered, outcome.interrupted) == (2, 1, "", False)
    assert outcome.in_use == [claimed.title]
    [failure] = outcome.failed
    assert failure.startswith(f"{wild.title}: ")
    assert "at step 5, lr 5.297e+29, alpha 0.5828, pair moons; before the first checkpoint" in failure
    assert "1 of 5 runs are already done and are not trained again" in said
    assert f"{good.title}: target accuracy" in said
    assert "[moons]: target accuracy" in said
    assert time_of(done_before) == trained_first

    found = runs_in(client)
    assert {name: each.info.status for name, each in found.items()} == {
        good.hash: "FINISHED",
        done_before.hash: "FINISHED",
        also_good.hash: "FINISHED",
        wild.hash: "FAILED",
    }
    for experiment in (good, done_before, also_good):
        assert curves_of(client, found[experiment.hash].info.run_id) == recorded_curves(experiment)


def test_what_one_run_cannot_use_ends_the_others(client):
    first, second = small_moons(), small_moons(method="source_only")
    with pytest.raises(KeyboardInterrupt):
        train_runs([first], must_stop=after(10))
    (folder_of(first.hash) / "checkpoint.pt").write_bytes(b"cut")
    with pytest.raises(BadInput, match="delete it to start this run anew"):
        work_here([first, second])
    assert not (folder_of(second.hash) / "run.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_pool_and_the_rest_is_kept(client, capsys, number):
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)]
    pool = Inline(interfere=lambda: os.kill(os.getpid(), number))
    outcome = work_here([small_moons()], pool=pool)
    assert (outcome.interrupted, outcome.exit_code, pool.stopped) == (True, 130, True)
    assert "stopping: the same command goes on from the last checkpoints" in capsys.readouterr().out
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_is_ignored_stays_so(client, number):
    """As SIGHUP is under nohup."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        outcome = work_here([small_moons()], pool=Inline(interfere=lambda: os.kill(os.getpid(), number)))
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
    assert (outcome.interrupted, outcome.trained) == (False, 1)


def test_a_pool_that_has_nothing_to_wait_for_waits_all_the_same():
    begun_s = time.monotonic()
    assert Local(1).ended(0.3) == []
    assert time.monotonic() - begun_s >= 0.3


def test_a_run_that_a_worker_was_told_to_stop_is_not_done(client):
    class Told(Inline):
        def ended(self, wait_s):
            if not self.waiting:
                return []
            members = self.waiting.pop()
            with pytest.raises(KeyboardInterrupt):
                train_runs(members, must_stop=after(10))
            return [Ended(members)]

    outcome = work_here([small_moons()], pool=Told())
    assert outcome.failed == [f"{small_moons().title}: stopped; the same command goes on"]
    assert (outcome.trained, outcome.exit_code) == (0, 1)


def test_stale_runs_are_said_trained_again_and_reach_mlflow_again(client, monkeypatch, capsys):
    experiments = [small_moons(seed=seed) for seed in range(2)]
    work_here(experiments)
    first = {each.info.run_id for each in runs_in(client).values()}
    for module in (done, driver):
        monkeypatch.setattr(module, "find_change", lambda experiment: "its data have changed" if stale else "")
    stale = True
    pool = Inline(interfere=lambda: None)
    train, stale_ended = pool.ended, []

    def ended(wait_s):
        nonlocal stale
        returned = train(wait_s)
        stale_ended.extend(returned)
        stale = not stale_ended  # what has just been trained is not
        return returned

    pool.ended = ended
    outcome = work_here(experiments, pool=pool)
    assert (outcome.trained, outcome.skipped, outcome.undelivered) == (2, 0, "")
    assert "2 finished runs are stale and trained again: its data have changed" in capsys.readouterr().out
    found = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert len(found) == 4
    assert {each.info.status for each in found} == {"FINISHED"}
    assert first < {each.info.run_id for each in found}


def test_two_tables_share_runs_and_each_has_all_of_its_own(client):
    first, shared, second = (small_moons(seed=seed) for seed in range(3))
    with pytest.raises(KeyboardInterrupt):
        train_runs([shared], must_stop=after(10))
    pool = Inline(interfere=lambda: os.kill(os.getpid(), signal.SIGINT))
    work_here([first, shared], "one", pool)
    assert {name: each.info.status for name, each in runs_in(client, "one").items()} == {shared.hash: "KILLED"}
    work_here([shared, second], "two")
    assert runs_in(client, "two").keys() == {shared.hash, second.hash}
    # Finished for one table is finished for both; what the interrupted table lacks, it lacks.
    assert {name: each.info.status for name, each in runs_in(client, "one").items()} == {shared.hash: "FINISHED"}
    work_here([first, shared], "one")
    assert runs_in(client, "one").keys() == {first.hash, shared.hash}
    for name in ("one", "two"):
        assert curves_of(client, runs_in(client, name)[shared.hash].info.run_id) == recorded_curves(shared)


def test_what_a_worker_has_shown_so_far_is_read_from_the_folders(client, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "experiments.work.driver.RunProgress.advance", lambda self, key, step, values: shown.append((step, values))
    )
    folder = folder_of(small_moons().hash)
    beats = iter([b'{"step": 5, "values": {"label_loss": 0.5}}', b"torn", b"null", b'{"step": "x", "values": []}'])

    class Slow(Inline):
        def ended(self, wait_s):
            if (beat := next(beats, None)) is None:
                return super().ended(wait_s)
            (folder / names.PROGRESS).write_bytes(beat)
            return []

    assert work_here([small_moons()], pool=Slow()).trained == 1
    assert shown == [(5, {"label_loss": 0.5})]
    assert len(read_points(folder)) == 9
