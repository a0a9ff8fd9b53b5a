import dataclasses
import shutil

import pytest
import torch
from torch._dynamo.utils import counters

from datasets import load_pair
from experiments.errors import BadInput
from experiments.machine import Machine, available_devices, copy_to_cpu, random_states, restore_random
from experiments.methods import METHODS, Losses
from experiments.running import digest
from experiments.training import train
from tests.small_runs import ROUNDING, image_pair, small_moons

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="module")
def moons_pair(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRL_PREPARED", str(tmp_path_factory.mktemp("prepared")))
        return load_pair("moons")


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def farthest(one, other) -> float:
    """The largest difference between two trainings, each (points, networks): over all curves and weights."""
    points = [
        abs(values[name] - others[name])
        for (_, values), (_, others) in zip(one[0], other[0], strict=True)
        for name in values | others
    ]
    weights = zip(one[1].state_dict().values(), other[1].state_dict().values(), strict=True)
    return max(*points, *((mine - its).abs().max().item() for mine, its in weights))


def train_recorded(experiment, pair, **keywords):
    points = []
    networks = train(experiment, pair, log=lambda step, values: points.append((step, values)), **keywords).networks
    return points, networks


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
    assert [Machine(**fields).is_plain for fields in ({"device": "cpu"}, {"device": "cuda"})] == [True, False]


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
    assert copied["momenta"][0].device.type == "cpu"
    assert (copied["step"], copied["momenta"][0].tolist(), copied["momenta"][1]) == (3, [1.0, 1.0], {"none": None})


# Compilation


@needs_compiler
def test_a_compiled_training_is_the_same_to_rounding(moons_pair):
    experiment = small_moons(log_every=1)  # alpha and lr change at every step
    states = []
    counters.clear()
    with torch._inductor.config.patch(compile_threads=1):
        compiled = train_recorded(
            experiment, moons_pair, machine=Machine(device="cpu", compile="inductor"), save=states.append
        )
        assert counters["stats"]["unique_graphs"] == 1
        assert farthest(compiled, train_recorded(experiment, moons_pair, machine=Machine(device="cpu"))) < ROUNDING
        # A resumed run compiles nothing new and ends on the same bits.
        resumed = train(experiment, moons_pair, machine=Machine(device="cpu", compile="inductor"), state=states[0])
    assert counters["stats"]["unique_graphs"] == 1
    assert digest(resumed.networks) == digest(compiled[1])


# Precision


def test_bfloat16_leaves_weights_losses_and_evaluation_in_float32(monkeypatch):
    seen = []
    plain = METHODS["dann"]

    def watch(networks, source, target, **keywords):
        features = networks.feature_extractor(source.inputs)
        losses = plain.losses(networks, source, target, **keywords)
        seen.append((features.dtype, *(value.dtype for value in losses)))
        return losses

    monkeypatch.setitem(METHODS, "dann", dataclasses.replace(plain, losses=watch))
    experiment = small_moons(pair="images", network="mnist_paper", precision="bfloat16", batch_size=8, steps=2)
    networks = train(experiment, image_pair()).networks
    assert seen == [(torch.bfloat16, torch.float32, torch.float32, torch.float32)] * 2
    assert {value.dtype for value in networks.state_dict().values()} == {torch.float32}
    assert networks.predict(torch.zeros(1, 3, 28, 28, device=Machine().torch_device)).dtype == torch.float32


def test_bfloat16_losses_are_those_of_the_rounded_logits():
    """The losses themselves are computed in float32: no loss of 64 samples is a multiple of 1/256 by chance."""
    logits = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.arange(64) % 3

    class Fixed(torch.nn.Module):
        feature_extractor = label_predictor = domain_classifier = staticmethod(lambda inputs: inputs)

        def predict(self, inputs):
            return inputs

    class Inputs:
        def __init__(self, inputs):
            self.inputs, self.labels = inputs, labels

    with torch.autocast("cpu", torch.bfloat16):
        losses: Losses = METHODS["source_only"].losses(Fixed(), Inputs(logits))
    expected = -logits.float().log_softmax(1)[torch.arange(64), labels].mean()
    torch.testing.assert_close(losses.label_loss, expected)


def test_bfloat16_learns_as_float32_does(moons_pair):
    """Two significant digits in every product, yet the curves stay close over 30 steps."""
    exact, rounded = (train_recorded(small_moons(precision=p), moons_pair) for p in ("float32", "bfloat16"))
    for (_, values), (_, others) in zip(exact[0], rounded[0], strict=True):
        for name in values:
            assert others[name] == pytest.approx(values[name], abs=0.03), name
    assert 0 < farthest(exact, rounded)


# CUDA


@needs_cuda
@pytest.mark.parametrize("network", ["moons", "mnist_modern"])
def test_cuda_in_deterministic_mode_resumes_to_the_same_bits(network, moons_pair):
    pair, name = (moons_pair, "moons") if network == "moons" else (image_pair(), "images")
    experiment = small_moons(network=network, pair=name, batch_size=8)
    machine, states = Machine(device="cuda", deterministic=True), []
    try:
        whole = train(experiment, pair, machine=machine, save=states.append)
        assert all(not value.is_cuda for value in states[0]["networks"].values())
        torch.manual_seed(99)
        resumed = train(experiment, pair, machine=machine, state=states[0])
    finally:
        torch.use_deterministic_algorithms(False)
    assert digest(resumed.networks) == digest(whole.networks)
    train(experiment, pair, machine=Machine(device="cpu"), state=states[0])  # and goes on elsewhere


@needs_cuda
@pytest.mark.parametrize("compile", ["no", "inductor", "cudagraphs"])
def test_cuda_is_the_cpu_to_rounding(compile, moons_pair):
    here = train_recorded(small_moons(), moons_pair, machine=Machine(device="cpu"))
    points, networks = train_recorded(small_moons(), moons_pair, machine=Machine(device="cuda", compile=compile))
    assert farthest(here, (points, networks.cpu())) < ROUNDING
