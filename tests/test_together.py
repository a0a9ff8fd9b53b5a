import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest
import torch

from datasets import load_pair
from experiments import record
from experiments.bundles import Bundle, bundle, plain
from experiments.errors import MemberInUse, NonFiniteLoss, RunInUse
from experiments.evaluation import evaluate
from experiments.experiment import SGD
from experiments.machine import Machine
from experiments.networks import NETWORKS, build_networks
from experiments.recording import claim, folder_of, is_done, read_json, read_points
from experiments.running import digest, run, run_together
from experiments.together import Stack, evaluate_together, train_together
from experiments.training import train
from grl.schedules import Constant, Ganin, InverseDecay, Linear
from tests.small_runs import small_moons

TIMES = {record.TRAIN_TIME_S, record.STEPS_PER_S}
ALPHAS = (Constant(value=0.3), Ganin())


@pytest.fixture
def moons_pair(runs):
    return load_pair("moons")


def grid(alphas=ALPHAS, seeds=(0, 1), **changes) -> list:
    return [small_moons(alpha=alpha, seed=seed, **changes) for alpha in alphas for seed in seeds]


def outcome_of(experiment) -> tuple:
    """All that a run records, except times: numbers, digest, points."""
    folder = folder_of(experiment)
    result = read_json(folder / record.RESULT)
    points = [(point["step"], point["values"]) for point in read_points(folder)]
    return {n: v for n, v in result["metrics"].items() if n not in TIMES}, result["weights_sha256"], points


# The numbers


@pytest.mark.parametrize(
    "experiments",
    [
        grid(alphas=(Constant(value=0.0), Constant(value=0.7), Ganin(), Linear(end=0.5))),
        grid(optimiser=SGD(momentum=0.0, weight_decay=0.01), batch_norm="separate", domain_weight=0.5),
        [small_moons(method="source_only", seed=seed) for seed in range(3)],
        [small_moons(method="target_only", seed=seed) for seed in range(3)],
    ],
    ids=["alphas", "plain optimiser", "source_only", "target_only"],
)
def test_each_member_gets_the_numbers_of_its_single_run(moons_pair, experiments):
    """Thirty steps multiply a rounding by some hundreds: 1e-5 of values around 1. A wrong seed shows as 0.01."""
    together = []
    trained = train_together(experiments, moons_pair, log=lambda step, values: together.append((step, values)))
    for member, experiment in enumerate(experiments):
        single = []
        networks = train(experiment, moons_pair, log=lambda step, values, to=single: to.append((step, values))).networks
        for (step, values), (own_step, own) in zip(together, single, strict=True):
            assert step == own_step
            assert values[member] == pytest.approx(own, rel=1e-5, abs=1e-5)
        for name, value in networks.state_dict().items():
            torch.testing.assert_close(trained[member].networks.state_dict()[name], value, rtol=1e-4, atol=1e-5)
    if experiments[0].alpha is not None:  # members do differ: none was given the numbers of another
        losses = {values["domain_loss"] for values in together[-2][1]}
        assert len(losses) == len(experiments)


def test_one_evaluation_of_many_is_many_evaluations(moons_pair):
    seeds = [3, 4, 5]
    stack = Stack("moons", 2, seeds)
    mean = moons_pair.source.mean()
    expected = [evaluate(build_networks("moons", classes=2, seed=seed), moons_pair, mean) for seed in seeds]
    for found, own in zip(evaluate_together(stack, moons_pair, mean), expected, strict=True):
        assert found == pytest.approx(own, abs=1e-6)
    assert stack.member(1).state_dict().keys() == build_networks("moons", classes=2, seed=4).state_dict().keys()


def test_a_member_that_diverges_leaves_the_others_alone(moons_pair):
    calm = grid(seeds=(0,), log_every=1)
    wild = dataclasses.replace(calm[0], alpha=Constant(value=1e38))
    failures, alone_points, points = [], [], []
    train_together(
        [calm[0], wild, calm[1]],
        moons_pair,
        log=lambda step, values: points.append([values[0], values[2]]),
        fail=lambda member, error: failures.append((member, str(error))),
    )
    train_together(calm, moons_pair, log=lambda step, values: alone_points.append(values))
    [(member, message)] = failures
    assert member == 1
    assert "at step" in message
    assert "alpha 1e+38, pair moons" in message
    for found, expected in zip(points, alone_points, strict=True):
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other, rel=1e-4, abs=1e-4)


def test_the_doctor_looks_at_every_member(moons_pair):
    verdicts = []
    train_together(grid(), moons_pair, diagnose=lambda member, verdict: verdicts.append((member, verdict.status)))
    assert verdicts == [(member, "reversed") for member in range(4)]


@pytest.mark.parametrize("name", [name for name, architecture in NETWORKS.items() if architecture.together > 1])
def test_what_is_stacked_has_neither_batch_norm_nor_dropout(name):
    """Their buffers and random masks are not stacked."""
    networks = build_networks(name, classes=2, seed=0)
    assert not list(networks.buffers())
    assert not any("Drop" in type(layer).__name__ for layer in networks.modules())


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_the_numbers_of_a_run_do_not_depend_on_its_company(moons_pair, momentum):
    """To the bit, also alone: adversarial training turns a rounding of one step into another accuracy at the end."""
    several = [
        dataclasses.replace(each, optimiser=SGD(momentum=momentum)) for each in grid(seeds=range(9), batch_size=32)
    ]
    expected = [digest(trained.networks) for trained in train_together(several, moons_pair)]
    for company in (several[:1], several[:3], several[2:9], several[::-1]):
        found = [digest(trained.networks) for trained in train_together(company, moons_pair)]
        assert found == [expected[several.index(each)] for each in company]


# What is put together


def test_seeds_alphas_and_selections_are_put_together_and_nothing_else(runs):
    base = grid()
    other = small_moons(lr=InverseDecay(lr=0.2))
    oracle = dataclasses.replace(base[0], selection="target_oracle")
    anchors = [small_moons(method="source_only", seed=seed) for seed in range(2)]
    bundles = bundle([*base, other, *anchors, oracle, base[0]])
    assert [each.experiments for each in bundles] == [(*base, oracle), (other,), tuple(anchors)]
    assert not any(each.is_plain for each in bundles)


def test_what_gains_nothing_is_trained_in_the_plain_loop(runs):
    halves = grid(precision="bfloat16")
    digits = [dataclasses.replace(e, pair="syn_digits_to_syn_digits_m", network="mnist_paper") for e in grid()]
    assert all(each.is_plain for each in bundle([*halves, *digits]))
    assert all(each.is_plain for each in bundle(grid(), Machine(device="cpu", compile="inductor")))


def test_a_long_list_is_cut_into_even_parts(runs):
    many = [small_moons(seed=seed) for seed in range(161)]
    assert [len(each.experiments) for each in bundle(many)] == [54, 54, 53]


# The record


def test_runs_together_leave_what_single_runs_leave(runs):
    experiments = grid()
    events = []
    [together] = bundle(experiments)
    run_together(together, events.append)
    single = small_moons(seed=9)
    run(single)
    names = {path.name for path in folder_of(single).iterdir()}
    for experiment in experiments:
        folder = folder_of(experiment)
        assert is_done(experiment)
        assert {path.name for path in folder.iterdir()} == names
        tags = read_json(folder / "run.json")["tags"]
        assert (tags["together"], tags["verdict"]) == (together.name, "reversed")
        assert read_json(folder / "run.json")["params"] == experiment.flat()
    assert [event.name for event in events if event.run] == ["finished"] * 4
    assert {event.run for event in events if event.run} == {experiment.hash for experiment in experiments}
    run_together(together, lambda event: pytest.fail("trained again"))
    assert not (together.folder / "checkpoint.pt").exists()


@pytest.mark.parametrize(("event", "step"), [("logged", 5), ("saved", 10), ("logged", 25), ("saved", 30)])
def test_interrupted_runs_go_on_together_to_the_same_bits(runs, tmp_path, monkeypatch, event, step):
    experiments = grid()
    with monkeypatch.context() as patch:
        patch.setenv("GRL_RUNS", str(tmp_path / "undisturbed"))
        run_together(bundle(experiments)[0])
        expected = [outcome_of(experiment) for experiment in experiments]

    def interrupt(happened):
        if (happened.name, happened.step) == (event, step):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together(bundle(experiments)[0], interrupt)
    assert {read_json(folder_of(e) / "status.json")["status"] for e in experiments} == {"KILLED"}
    starts = []
    [again] = bundle(experiments)
    run_together(again, lambda happened: starts.append(happened.step) if happened.name == "started" else None)
    assert starts == [step // 10 * 10]
    assert [outcome_of(experiment) for experiment in experiments] == expected


def test_a_crash_while_the_results_are_written_trains_nothing_again(runs):
    experiments = grid()

    def crash(happened):
        if happened.name == "finished" and happened.run == experiments[1].hash:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together(bundle(experiments)[0], crash)
    assert [is_done(experiment) for experiment in experiments] == [True, True, False, False]
    [rest] = bundle([experiment for experiment in experiments if not is_done(experiment)])
    events = []
    run_together(rest, events.append)
    assert [event.name for event in events] == ["started", "finished", "finished", "ended"]
    assert all(is_done(experiment) for experiment in experiments)


def test_a_run_begun_in_the_plain_loop_goes_on_there(runs):
    begun, *others = grid()

    def interrupt(happened):
        if happened.name == "saved":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(begun, interrupt)
    assert bundle([begun, *others]) == [plain(begun), Bundle(tuple(others), bundle(others)[0].name)]


@dataclass(frozen=True)
class Explodes:
    """A schedule that is harmless up to a step and ruinous from there on."""

    at: int = 22

    def __call__(self, progress: float, *, step: int | None = None) -> float:
        return 0.1 if step is None or step < self.at else 1e30


def test_a_failed_member_keeps_its_points_and_its_last_good_checkpoint(runs):
    calm = grid(log_every=1)
    wild = dataclasses.replace(calm[0], alpha=Explodes())
    events = []
    run_together(bundle([*calm, wild])[0], events.append)
    status = read_json(folder_of(wild) / "status.json")
    assert status["status"] == "FAILED"
    assert "at step 24" in status["message"]
    assert "alpha 1e+30, pair moons; the last good checkpoint is" in status["message"]
    assert [event.message for event in events if event.name == "failed"] == [status["message"]]
    assert [point["step"] for point in read_points(folder_of(wild))][-3:] == [21, 22, 23]
    assert all(is_done(experiment) for experiment in calm)
    # It can be looked at, and a second try goes on from it to fail where the first one did.
    [again] = bundle([wild])
    assert torch.load(again.folder / "checkpoint.pt", weights_only=True)["step"] == 20
    starts = []
    run_together(again, lambda event: starts.append(event.step) if event.name == "started" else None)
    assert starts == [20]
    assert read_json(folder_of(wild) / "status.json")["message"] == status["message"]


def test_a_failed_member_is_not_forgotten_when_the_others_go_on(runs):
    calm = grid(log_every=1)
    wild = dataclasses.replace(calm[0], alpha=Explodes())

    def interrupt(happened):
        if happened.name == "finished":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together(bundle([*calm, wild])[0], interrupt)
    before = read_json(folder_of(wild) / "status.json")
    rest, again = bundle([experiment for experiment in [*calm, wild] if not is_done(experiment)])
    assert (rest.experiments, again.experiments) == (tuple(calm[1:]), (wild,))
    run_together(rest)
    assert all(is_done(experiment) for experiment in calm)
    assert read_json(folder_of(wild) / "status.json") == before


def test_an_evaluation_that_is_not_finite_is_a_failure_too(runs):
    """The update after the last logged loss can ruin the weights: the loss is finite, the score is not."""
    calm = grid(log_every=1)
    wild = dataclasses.replace(calm[0], alpha=Explodes(at=19))
    run_together(bundle([*calm, wild])[0])
    assert all(is_done(experiment) for experiment in calm)
    message = read_json(folder_of(wild) / "status.json")["message"]
    assert message.startswith("information_maximisation is nan at step 20")
    with pytest.raises(NonFiniteLoss, match="information_maximisation is nan at step 20"):
        run(wild)


def test_runs_that_have_all_failed_are_not_trained_on(runs):
    wild = [small_moons(alpha=Explodes(at=2), seed=seed, log_every=1) for seed in range(2)]
    events = []
    run_together(bundle(wild)[0], events.append)
    assert [event.name for event in events] == ["started", "logged", "logged", "logged", "failed", "failed", "ended"]


@pytest.fixture
def undisturbed(tmp_path, monkeypatch):
    """What the runs of the grid record when nothing disturbs them."""
    with monkeypatch.context() as patch:
        patch.setenv("GRL_RUNS", str(tmp_path / "undisturbed"))
        run_together(bundle(grid())[0])
        return [outcome_of(experiment) for experiment in grid()]


def go_on(experiments, until: int | None = None) -> list[int]:
    """Train what is not done, one bundle after the other, up to a saved step; returns where each began."""
    starts = []

    def watch(event):
        if event.name == "started":
            starts.append(event.step)
        if (event.name, event.step) == ("saved", until):
            raise KeyboardInterrupt

    for each in bundle([experiment for experiment in experiments if not is_done(experiment)]):
        with contextlib.suppress(KeyboardInterrupt):
            run_together(each, watch)
    return starts


A_PART = slice(1, 2)


@pytest.mark.parametrize(
    "steps",
    [
        [(slice(None), 10, [0]), (A_PART, None, [10]), (slice(None), None, [10])],
        [(slice(None), 10, [0]), (A_PART, 20, [10]), (A_PART, None, [20]), (slice(None), None, [10])],
        [(slice(None), 10, [0]), (A_PART, 20, [10]), (slice(None), 20, [10, 20]), (slice(None), None, [20])],
        [(A_PART, 20, [0]), (slice(None), None, [0, 20])],
    ],
    ids=["a part to its end", "a part in two starts", "a part, then all", "more"],
)
def test_parts_of_what_was_begun_together_go_on_where_they_were(runs, undisturbed, steps):
    for part, until, starts in steps:
        assert sorted(go_on(grid()[part], until)) == sorted(starts)
    assert [outcome_of(experiment) for experiment in grid()] == undisturbed
    assert not list(runs.glob("together/*/checkpoint.pt"))


def test_runs_whose_folders_were_deleted_start_anew(runs, undisturbed):
    go_on(grid(), 10)
    for experiment in grid()[:2]:
        shutil.rmtree(folder_of(experiment))
    assert sorted(go_on(grid())) == [0, 10]
    assert [outcome_of(experiment) for experiment in grid()] == undisturbed


def test_a_stale_checkpoint_is_not_adopted(runs, undisturbed):
    """Deleted run folders leave the common checkpoint behind: a fresh start that is cut short must not meet it."""
    go_on(grid(), 20)
    for experiment in grid():
        shutil.rmtree(folder_of(experiment))

    def interrupt(event):
        if event.name == "logged":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together(bundle(grid())[0], interrupt)
    assert go_on(grid()) == [0]
    assert [outcome_of(experiment) for experiment in grid()] == undisturbed


def test_a_list_that_is_older_than_a_checkpoint_does_not_start_over(runs, undisturbed):
    [old] = bundle(grid()[:1])
    go_on(grid()[:1], 10)
    with pytest.raises(MemberInUse):
        run_together(old)
    assert go_on(grid()) == [10, 0]
    assert [outcome_of(experiment) for experiment in grid()] == undisturbed


def test_an_error_of_the_program_costs_nobody_a_checkpoint(runs, undisturbed):
    def break_down(event):
        if event.name == "saved":
            raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError):
        run_together(bundle(grid())[0], break_down)
    assert {read_json(folder_of(each) / "status.json")["status"] for each in grid()} == {"FAILED"}
    assert go_on(grid()[:1]) == [10]
    assert go_on(grid()) == [10]
    assert [outcome_of(experiment) for experiment in grid()] == undisturbed


def test_what_another_process_trains_is_left_to_it(runs):
    experiments = grid()
    [together] = bundle(experiments)
    with claim(folder_of(experiments[2])), pytest.raises(MemberInUse, match=experiments[2].hash):
        run_together(together)
    with claim(together.folder), pytest.raises(RunInUse, match=together.name):
        run_together(together)


CHILD = """
from experiments import running
from experiments.bundles import bundle
from tests.test_together import grid
running.CHECKPOINT_EVERY_S = 0.0
[together] = bundle(grid(steps=400, evaluate_every=20, log_every=10))
running.run_together(together)
"""


def test_kill_9_changes_no_bit(runs, tmp_path, monkeypatch):
    experiments = grid(steps=400, evaluate_every=20, log_every=10)
    [together] = bundle(experiments)
    with monkeypatch.context() as patch:
        patch.setenv("GRL_RUNS", str(tmp_path / "undisturbed"))
        run_together(together)
        expected = [outcome_of(experiment) for experiment in experiments]
    with subprocess.Popen([sys.executable, "-c", CHILD], cwd=record.ROOT) as child:
        while not (together.folder / "checkpoint.pt").exists() and child.poll() is None:
            time.sleep(0.005)
        child.kill()
    assert child.returncode == -9, "ended before the kill"
    assert not any(is_done(experiment) for experiment in experiments)
    [again] = bundle(experiments)
    assert again.name == together.name
    run_together(again)
    assert [outcome_of(experiment) for experiment in experiments] == expected
    assert json.loads((folder_of(experiments[0]) / "run.json").read_text())["tags"]["together"] == together.name
