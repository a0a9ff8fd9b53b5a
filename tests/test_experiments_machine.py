"""How to compute: devices, compilation and precision change no number beyond rounding."""

import shutil
from dataclasses import dataclass

import pytest
import torch
from torch._dynamo.utils import counters

from experiments.errors import BadInput
from experiments.methods import Passed
from experiments.methods.anchors import SourceOnly
from experiments.methods.dann import DANN
from experiments.networks.mnist import MnistModern, MnistPaper
from experiments.networks.moons import Moons
from experiments.training.machine import Machine, available_devices, copy_to_cpu, random_states, restore_random
from experiments.training.together import Together
from grl.schedules import Constant, Ganin
from tests.support.trainings import CPU, ROUNDING, Trained, image_pair, on_images, small_moons, train_alone

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def farthest(one, other) -> float:
    """The largest difference between two trainings: over all curves and weights."""
    points = [
        abs(values[name] - others[name])
        for (_, values), (_, others) in zip(one.points(), other.points(), strict=True)
        for name in values | others
    ]
    weights = zip(one.networks().state_dict().values(), other.networks().state_dict().values(), strict=True)
    return max(*points, *((mine.cpu() - its.cpu()).abs().max().item() for mine, its in weights))


# Devices


def test_the_first_cuda_device_is_preferred(two_gpus):
    assert available_devices()[0] == "cpu"
    assert available_devices()[-3:] == ["cuda:1", "cuda:0", "cuda"]
    assert Machine().torch_device == torch.device("cuda")
    assert Machine(device="cuda:1").torch_device == torch.device("cuda:1")


def test_workers_share_the_gpus_unless_one_was_chosen(two_gpus):
    for device in ("auto", "cuda"):
        assert [Machine(device=device).for_worker(index).device for index in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert Machine(device="cuda:1").for_worker(0).device == "cuda:1"
    assert Machine(device="cpu").for_worker(1).device == "cpu"


def test_the_record_says_what_was_chosen(monkeypatch, two_gpus):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {device.index}")
    assert Machine(device="cpu").describe() == "cpu"
    assert Machine(device="cuda:1", compile="cudagraphs", deterministic=True).describe() == (
        "card 1, cudagraphs, deterministic"
    )


def test_runs_are_stacked_where_nothing_else_compiles_them(two_gpus):
    machines = [Machine(device="cpu"), Machine(device="cuda"), Machine(device="cuda", compile="cudagraphs")]
    assert [machine.stacks for machine in machines] == [True, True, False]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"device": "cuda:7"}, r"^device 'cuda:7' is not available here: available are auto, cpu"),
        ({"device": "gpu"}, r"^device 'gpu' is not available here: available are auto, cpu"),
        ({"compile": "induktor"}, r"^unknown compile 'induktor': did you mean 'inductor'\?"),
        ({"compile": "cudagraphs", "device": "cpu"}, r"^compile cudagraphs needs a CUDA device, got device cpu$"),
    ],
    ids=str,
)
def test_bad_fields_are_named(fields, message):
    with pytest.raises(BadInput, match=message):
        Machine(**fields)


def test_inductor_without_a_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        BadInput, match="needs a C\\+\\+ compiler for the CPU, and there is no no-such-compiler: install"
    ):
        Machine(compile="inductor", device="cpu")


def test_deterministic_is_refused_where_it_cannot_be_had(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(BadInput, match=r"^deterministic is for cpu and cuda, got it with device mps$"):
        Machine(device="mps", deterministic=True)


def test_random_states_go_back():
    states = random_states(torch.device("cpu"))
    first = torch.rand(3)
    restore_random(states)
    assert torch.equal(torch.rand(3), first)


def test_a_state_is_copied_to_the_cpu_whole():
    state = {"step": 3, "momenta": [torch.ones(2), {"none": None}]}
    if torch.cuda.is_available():
        state["momenta"][0] = state["momenta"][0].cuda()
    copied = copy_to_cpu(state)
    state["momenta"][0].zero_()
    assert copied["momenta"][0].device.type == "cpu"
    assert (copied["step"], copied["momenta"][0].tolist(), copied["momenta"][1]) == (3, [1.0, 1.0], {"none": None})


# Compilation


@needs_compiler
def test_a_compiled_training_is_the_same_to_rounding(moons_pair):
    experiment = small_moons(log_every=1)  # alpha and lr change at every step
    machine = Machine(device="cpu", compile="inductor")
    counters.clear()
    with torch._inductor.config.patch(compile_threads=1):
        compiled = train_alone(experiment, moons_pair, machine)
        assert counters["stats"]["unique_graphs"] == 1
        assert farthest(compiled, train_alone(experiment, moons_pair)) < ROUNDING
        resumed = train_alone(experiment, moons_pair, machine, states=compiled.states[10])
    assert resumed.digest() == compiled.digest()


# Precision


def test_bfloat16_leaves_weights_losses_and_evaluation_in_float32():
    seen = []

    @dataclass(frozen=True, kw_only=True)
    class Watched(DANN):
        def losses(self, networks, passed, **scheduled):
            losses = super().losses(networks, passed, **scheduled)
            if torch.is_autocast_enabled("cpu"):  # in a step, and not in the doctor's look
                seen.append((passed.features.dtype, losses.objective.dtype, losses.label_loss.dtype))
            return losses

    experiment = on_images(method=Watched(), network=MnistPaper(), precision="bfloat16", steps=2)
    trained = train_alone(experiment, image_pair())
    assert seen == [(torch.bfloat16, torch.float32, torch.float32)] * 2
    networks = trained.networks()
    assert {value.dtype for value in networks.state_dict().values()} == {torch.float32}
    assert networks.predict(torch.zeros(1, 3, 28, 28))[1].dtype == torch.float32
    [(_, evaluations), *_] = trained.notes.evaluations
    assert not any(is_rounded(evaluations[0].seen[name]) for name in ("target_logits", "source_logits"))


def is_rounded(logits) -> bool:
    """Whether all are bfloat16 numbers: those have the last 16 bits of float32 zero."""
    return bool((torch.from_numpy(logits).view(torch.int32) & 0xFFFF == 0).all())


def test_bfloat16_losses_are_those_of_the_rounded_logits():
    """The losses themselves are computed in float32: no loss of 64 samples is a multiple of 1/256 by chance."""
    logits = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.arange(64) % 3

    with torch.autocast("cpu", torch.bfloat16):
        losses = SourceOnly().losses(None, Passed(logits, logits, labels, torch.zeros(64)))
    expected = -logits.float().log_softmax(1)[torch.arange(64), labels].mean()
    torch.testing.assert_close(losses.label_loss, expected)


def test_bfloat16_learns_as_float32_does(moons_pair):
    """Two significant digits in every product, yet the curves stay close over 30 steps."""
    exact, rounded = (train_alone(small_moons(precision=p), moons_pair) for p in ("float32", "bfloat16"))
    for (_, values), (_, others) in zip(exact.points(), rounded.points(), strict=True):
        for name in values:
            assert others[name] == pytest.approx(values[name], abs=0.03), name
    assert 0 < farthest(exact, rounded)


# CUDA


@needs_cuda
@pytest.mark.parametrize("network", [Moons(), MnistModern()], ids=lambda network: network.name)
def test_cuda_in_deterministic_mode_resumes_to_the_same_bits(network, moons_pair):
    experiment, pair = (small_moons(), moons_pair) if network.name == "moons" else (on_images(), image_pair())
    machine = Machine(device="cuda", deterministic=True)
    try:
        whole = train_alone(experiment, pair, machine)
        state = whole.states[experiment.evaluate_every]
        assert all(not value.is_cuda for value in state[0]["networks"].values())
        torch.manual_seed(99)
        resumed = train_alone(experiment, pair, machine, states=state)
    finally:
        torch.use_deterministic_algorithms(False)
    assert resumed.digest() == whole.digest()
    train_alone(experiment, pair, CPU, states=state)  # and goes on elsewhere


@needs_cuda
@pytest.mark.parametrize("compile", ["no", "inductor", "cudagraphs"])
def test_cuda_is_the_cpu_to_rounding(compile, moons_pair):
    here = train_alone(small_moons(), moons_pair)
    assert farthest(here, train_alone(small_moons(), moons_pair, Machine(device="cuda", compile=compile))) < ROUNDING


@needs_cuda
def test_runs_stacked_on_cuda_are_those_of_the_cpu_to_rounding(moons_pair):
    """As one graph that is replayed: alpha and lr, which change at every step, must not be frozen in it."""
    runs = [small_moons(seed=seed, alpha=alpha) for seed in (0, 1) for alpha in (Constant(value=0.3), Ganin())]
    here, there = (Trained(Together(runs, moons_pair, Machine(device=device))) for device in ("cpu", "cuda"))
    for member in range(len(runs)):
        weights = zip(here.networks(member).parameters(), there.networks(member).parameters(), strict=True)
        assert max((mine - its.cpu()).abs().max().item() for mine, its in weights) < ROUNDING
    resumed = Trained(Together(runs, moons_pair, Machine(device="cuda")), states=there.states[10])
    torch.testing.assert_close(resumed.networks(3).state_dict(), there.networks(3).state_dict(), rtol=0, atol=ROUNDING)
