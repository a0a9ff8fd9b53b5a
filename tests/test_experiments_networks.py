"""Networks fit themselves to what a pair's samples are, or say why they cannot."""

import itertools
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from experiments.errors import BadInput
from experiments.methods import METHODS
from experiments.methods.dann import DANN
from experiments.networks import NETWORKS, Cut, Network, Parts, build_networks, check_fit
from experiments.networks.cnn import CNN
from experiments.networks.gtsrb import GtsrbPaper
from experiments.networks.lenet import DTN, LeNet
from experiments.networks.mlp import MLP
from experiments.networks.mnist import MnistModern, MnistPaper
from experiments.networks.moons import Moons
from experiments.networks.resnet import ResNet18, ResNet50
from experiments.networks.shallow import Shallow
from experiments.networks.svhn import SvhnPaper
from experiments.randomness import derive_seed

SHAPES = {
    "moons": (2,), "shallow": (7,), "mlp": (7,), "cnn": (3, 28, 28), "resnet18": (3, 40, 36), "resnet50": (3, 64, 64),
    "resnet101": (3, 64, 64), "svhn_paper": (3, 32, 32), "gtsrb_paper": (3, 40, 40), "lenet": (1, 28, 28),
    "dtn": (3, 32, 32), "skada_digits": (1, 28, 28),
}  # fmt: skip
WIDTHS = {"svhn_paper": 128 * 7 * 7, "gtsrb_paper": 1024, "lenet": 500, "dtn": 512, "skada_digits": 128} | {
    "raw": 2352, "moons": 32, "shallow": 50, "mlp": 256, "cnn": 1152,
    "resnet18": 256, "resnet50": 256, "resnet101": 256,
}  # fmt: skip
BIG = ("resnet50", "resnet101")


def build(network: Network, shape, classes=7, seed=0, method=None):
    return build_networks(network, (method or DANN()).heads, shape=shape, classes=classes, seed=seed)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in BIG])
def test_shapes_of_features_and_logits(name):
    shape = SHAPES.get(name, (3, 28, 28))
    networks = build(NETWORKS[name](), shape).eval()
    features, logits = networks.predict(torch.randn(3, *shape))
    assert features.shape == (3, WIDTHS.get(name, 768))
    assert logits.shape == (3, 7)
    head = networks.heads["domain_classifier"]
    assert head(features).shape == (3,)
    # Logits, not probabilities: beyond [0, 1] when the features are.
    logits = head(1000 * torch.randn(64, features.shape[1]))
    assert logits.min() < 0 or logits.max() > 1


def test_one_seed_one_start_whatever_the_classes_and_the_method():
    two, ten = (build(Moons(), (2,), classes=classes, seed=3).state_dict() for classes in (2, 10))
    for name, value in two.items():
        if not name.startswith("label_predictor"):
            assert torch.equal(value, ten[name]), name
    other = build(Moons(), (2,), classes=2, seed=4).state_dict()
    assert not any(torch.equal(value, other[name]) for name, value in two.items())
    for method in METHODS.values():
        mine = build(Moons(), (2,), classes=2, seed=3, method=method()).state_dict()
        for name, value in two.items():
            if not name.startswith("heads"):
                assert torch.equal(value, mine[name]), name


def test_building_and_checking_leave_the_global_random_state():
    before = torch.get_rng_state()
    build(MnistPaper(), (3, 28, 28))
    check_fit(MnistPaper(), shape=(3, 28, 28), classes=10)
    assert torch.equal(before, torch.get_rng_state())


def test_weights_of_the_papers_network():
    """Figure 4a of Ganin et al. (2016), with a single domain logit."""
    networks = build(MnistPaper(), (3, 28, 28), classes=10)
    parts = (networks.feature_extractor, networks.label_predictor, networks.heads["domain_classifier"])
    assert [sum(p.numel() for p in part.parameters()) for part in parts] == [
        3 * 25 * 32 + 32 + 32 * 25 * 48 + 48,
        768 * 100 + 100 + 100 * 100 + 100 + 100 * 10 + 10,
        768 * 100 + 100 + 100 + 1,
    ]


def parameters_of(network: Network, shape, classes: int) -> list[int]:
    networks = build(network, shape, classes=classes)
    parts = (networks.feature_extractor, networks.label_predictor, networks.heads["domain_classifier"])
    return [sum(p.numel() for p in part.parameters()) for part in parts]


def dense(*units: int) -> int:
    """Weights and biases of layers of so many units."""
    return sum(before * after + after for before, after in itertools.pairwise(units))


def test_weights_of_the_other_networks_of_figure_4():
    assert parameters_of(SvhnPaper(), (3, 32, 32), 10) == [
        dense(3 * 25, 64) + dense(64 * 25, 64) + dense(64 * 25, 128),
        dense(6272, 3072, 2048, 10),
        dense(6272, 1024, 1024, 1),
    ]
    assert parameters_of(GtsrbPaper(), (3, 40, 40), 43) == [
        dense(3 * 25, 96) + dense(96 * 9, 144) + dense(144 * 25, 256),
        dense(1024, 512, 43),
        dense(1024, 1024, 1024, 1),
    ]


def test_weights_of_the_networks_of_the_cdan_family():
    convolutions, adversary = dense(25, 20) + dense(20 * 25, 50), dense(500, 500, 500, 1)
    assert parameters_of(LeNet(), (1, 28, 28), 10) == [convolutions + dense(800, 500), dense(500, 10), adversary]
    normalised = [
        dense(75, 64),
        dense(64 * 25, 128),
        dense(128 * 25, 256),
        dense(4096, 512),
        2 * (64 + 128 + 256 + 512),
    ]
    assert parameters_of(DTN(), (3, 32, 32), 10) == [sum(normalised), dense(512, 10), dense(512, 500, 500, 1)]


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 29, 40), (2, 33, 17)])
def test_lenet_and_dtn_take_other_sizes(shape):
    assert check_fit(LeNet(), shape=shape, classes=3) == 500
    assert check_fit(DTN(), shape=shape, classes=3) == 512


def test_modern_adds_normalisation_and_dropout_to_the_extractor_alone():
    def kinds(part):
        return [type(module).__name__ for module in part]

    modern, plain = (build(network, (3, 28, 28)) for network in (MnistModern(), MnistPaper()))
    assert kinds(modern.feature_extractor).count("BatchNorm2d") == 2
    assert kinds(modern.feature_extractor).count("Dropout2d") == 1
    assert kinds(modern.label_predictor) == kinds(plain.label_predictor)
    assert kinds(modern.heads["domain_classifier"]) == kinds(plain.heads["domain_classifier"])


# Any size


@settings(max_examples=25)
@given(
    channels=st.sampled_from([1, 2, 3, 4, 13]),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    classes=st.integers(2, 40),
)
def test_the_small_cnn_takes_any_image(channels, height, width, classes):
    networks = build(CNN(channels=(4, 8)), (channels, height, width), classes=classes)
    features, logits = networks.predict(torch.randn(2, channels, height, width))
    assert features.shape == (2, 8 * 9)
    assert logits.shape == (2, classes)


@settings(max_examples=25)
@given(dimensions=st.integers(1, 3000), hidden=st.lists(st.integers(1, 64), min_size=1, max_size=3))
def test_the_mlp_takes_any_dimension(dimensions, hidden):
    networks = build(MLP(hidden=tuple(hidden), dropout=0.2), (dimensions,))
    features, logits = networks.predict(torch.randn(2, dimensions))
    assert features.shape == (2, hidden[-1])
    assert logits.shape == (2, 7)


# What does not fit


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (Moons(), (3,), "network moons takes inputs of shape (2,), got inputs of shape (3,)"),
        (Shallow(), (3, 28, 28), "network shallow takes features (D,), got inputs of shape (3, 28, 28)"),
        (MLP(), (1, 8, 8), "network mlp takes features (D,), got inputs of shape (1, 8, 8)"),
        (CNN(), (9,), "network cnn takes images (C, H, W), got inputs of shape (9,)"),
        (MnistPaper(), (1, 28, 28), "network mnist_paper takes colour images of 28 × 28 or 32 × 32"),
        (MnistModern(), (3, 64, 64), "network mnist_modern takes colour images of 28 × 28 or 32 × 32"),
        (SvhnPaper(), (3, 27, 32), "network svhn_paper takes images of at least 28 × 28, (C, H, W), got"),
        (GtsrbPaper(), (3, 40, 31), "network gtsrb_paper takes images of at least 32 × 32, (C, H, W), got"),
        (LeNet(), (1, 15, 28), "network lenet takes images of at least 16 × 16, (C, H, W), got"),
        (DTN(), (9,), "network dtn takes images (C, H, W), got inputs of shape (9,)"),
        (ResNet18(), (3, 31, 64), "network resnet18 takes colour images of at least 32 × 32, (3, H, W)"),
        (ResNet50(), (1, 64, 64), "network resnet50 takes colour images of at least 32 × 32, (3, H, W)"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_network_that_does_not_take_the_pair_is_named(network, shape, message):
    for attempt in (build, lambda network, shape: check_fit(network, shape=shape, classes=2)):
        with pytest.raises(BadInput) as caught:
            attempt(network, shape)
        assert str(caught.value).startswith(message)


def a_classifier() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 6), nn.ReLU()), nn.Linear(6, 9))


def an_extractor() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh())


def a_label_head(width: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 11), nn.ReLU(), nn.Linear(11, classes))


def a_domain_head(width: int) -> nn.Module:
    return nn.Linear(width, 1)


def a_head_of_other_features(width: int) -> nn.Module:
    return nn.Linear(width + 1, 1)


def test_a_classifier_is_cut_in_front_of_its_last_layer():
    network = Cut(module=a_classifier, layer="3")
    assert check_fit(network, shape=(5,), classes=2) == 6
    networks = build(network, (5,), classes=2)
    torch.manual_seed(derive_seed(0, "init/feature_extractor"))
    whole, inputs = a_classifier(), torch.randn(3, 5)
    features, logits = networks.predict(inputs)
    torch.testing.assert_close(features, whole[:3](inputs))
    assert logits.shape == (3, 2)


def test_a_cut_names_the_layers_there_are():
    with pytest.raises(BadInput, match=r"network.layer must be one of 0, 1, 2, 2\.0, 2\.1, 3, got 'classifier'"):
        check_fit(Cut(module=a_classifier, layer="classifier"), shape=(5,), classes=2)
    with pytest.raises(BadInput, match=r"network cut cannot take inputs of shape \(3,\): .*mat1 and mat2"):
        check_fit(Cut(module=a_classifier, layer="3"), shape=(3,), classes=2)


def test_three_parts():
    assert check_fit(Parts(extractor=an_extractor), shape=(5,), classes=2) == 4
    whole = Parts(extractor=an_extractor, label=a_label_head, domain=a_domain_head)
    assert check_fit(whole, shape=(5,), classes=3) == 4
    networks = build(whole, (5,), classes=3)
    assert [type(layer).__name__ for layer in networks.label_predictor] == ["Linear", "ReLU", "Linear"]
    assert networks.heads["domain_classifier"].out_features == 1


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            Parts(extractor=an_extractor, domain=a_head_of_other_features),
            "the domain head of network parts cannot take 4 features: ",
        ),
        (
            Parts(extractor=an_extractor, domain=lambda width: nn.Linear(width, 2)),
            "the domain head of network parts must return logits (2,) of 2 samples, got (2, 2)",
        ),
        (
            Parts(extractor=an_extractor, label=lambda width, classes: nn.Linear(width, 5)),
            "the label head of network parts must return logits (2, 3) of 2 samples, got (2, 5)",
        ),
        (
            Parts(extractor=lambda: nn.Unflatten(1, (5, 1))),
            "network parts must return features (N, F), got (2, 5, 1) for 2 inputs of shape (5,)",
        ),
        (Parts(extractor=lambda: nn.LSTM(5, 3)), "network parts must return features (N, F), got tuple for 2 inputs"),
    ],
)
def test_parts_that_do_not_fit_are_named_with_their_shapes(network, message):
    with pytest.raises(BadInput) as caught:
        check_fit(network, shape=(5,), classes=3)
    assert str(caught.value).startswith(message)


@dataclass(frozen=True, kw_only=True)
class Sized(Network):
    """A network whose extractor asks for its own device, as some do with `.item()` while they are built."""

    name = "sized"

    def feature_extractor(self, shape):
        units = int(torch.linspace(4, 8, 2)[1].item())
        return nn.Sequential(nn.Linear(*shape, units), nn.ReLU())


def test_a_network_may_compute_while_it_is_built():
    assert check_fit(Sized(), shape=(5,), classes=2) == 8


# Weights


def test_resnet_weights_come_from_a_local_file(tmp_path):
    from torchvision.models import resnet18

    torch.manual_seed(7)
    whole = resnet18(weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "mine.pt")
    network = ResNet18(weights=str(tmp_path / "mine.pt"), bottleneck=0)
    networks = build(network, (3, 64, 64)).eval()
    inputs = torch.rand(2, 3, 64, 64) - 0.4
    whole.fc = nn.Identity()
    with torch.no_grad():
        std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)  # of ImageNet: inputs arrive less their own mean
        torch.testing.assert_close(networks.feature_extractor(inputs), whole(inputs / std), rtol=1e-4, atol=1e-5)
    fresh = build(ResNet18(bottleneck=0), (3, 64, 64)).state_dict()
    assert not torch.equal(fresh["feature_extractor.resnet.conv1.weight"], whole.conv1.weight)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "there is no such file"), (b"no weights", ""), ({"conv1.weight": torch.zeros(3)}, "size mismatch")],
)
def test_weights_that_cannot_be_used_are_refused_at_once(tmp_path, content, reason):
    path = tmp_path / "mine.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(BadInput) as caught:
        check_fit(ResNet18(weights=str(path)), shape=(3, 64, 64), classes=2)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_imagenet_weights_are_not_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(BadInput, match=r"resnet18-.*pth: there is no such file"):
        check_fit(ResNet18(weights="imagenet"), shape=(3, 64, 64), classes=2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MLP(hidden=()), "network.hidden must be layers of >= 1 unit, got ()"),
        (lambda: MLP(dropout=1.0), "network.dropout must be in [0, 1), got 1.0"),
        (lambda: CNN(channels=(3, 0)), "network.channels must be layers of >= 1 channel, got (3, 0)"),
        (lambda: CNN(positions=0), "network.positions must be >= 1, got 0"),
        (lambda: MnistModern(dropout=-0.1), "network.dropout must be in [0, 1), got -0.1"),
        (lambda: SvhnPaper(padding=-1), "network.padding must be >= 0, got -1"),
        (lambda: SvhnPaper(dropout=1.0), "network.dropout must be in [0, 1), got 1.0"),
        (lambda: Shallow(hidden=0), "network.hidden must be >= 1, got 0"),
        (lambda: ResNet18(bottleneck=-1), "network.bottleneck must be >= 0, got -1"),
        (lambda: ResNet18(domain_width=0), "network.domain_width must be >= 1, got 0"),
    ],
)
def test_bad_fields_are_named(build, message):
    with pytest.raises(BadInput) as caught:
        build()
    assert str(caught.value) == message
