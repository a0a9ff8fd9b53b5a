import pytest
import torch

from experiments.errors import BadInput
from experiments.networks import NETWORKS, build_networks, check_shape
from tests.small_runs import image_pair


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_of_features_and_logits(name):
    networks = build_networks(name, classes=7, seed=0).eval()
    inputs = torch.randn(3, *NETWORKS[name].input_shape)
    features = networks.feature_extractor(inputs)
    assert features.shape == (3, {"moons": 32, "shallow": 50}.get(name, 768))
    assert networks.predict(inputs).shape == (3, 7)
    assert networks.domain_classifier(features).shape == (3,)
    # Logits, not probabilities: both signs, and beyond 1 when the features are.
    logits = networks.domain_classifier(100 * torch.randn(64, features.shape[1]))
    assert logits.min() < 0
    assert logits.max() > 1


def test_one_seed_one_start_whatever_the_classes():
    two, ten = (build_networks("moons", classes=classes, seed=3).state_dict() for classes in (2, 10))
    for name, value in two.items():
        if not name.startswith("label_predictor"):
            assert torch.equal(value, ten[name]), name
    other = build_networks("moons", classes=2, seed=4).state_dict()
    assert not any(torch.equal(value, other[name]) for name, value in two.items())


def test_building_leaves_the_global_random_state():
    before = torch.get_rng_state()
    build_networks("mnist_paper", classes=10, seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_weights_of_the_papers_network():
    """Figure 4a of Ganin et al. (2016), with a single domain logit."""
    counts = {
        part: sum(p.numel() for p in getattr(build_networks("mnist_paper", classes=10, seed=0), part).parameters())
        for part in ("feature_extractor", "label_predictor", "domain_classifier")
    }
    assert counts == {
        "feature_extractor": 3 * 25 * 32 + 32 + 32 * 25 * 48 + 48,
        "label_predictor": 768 * 100 + 100 + 100 * 100 + 100 + 100 * 10 + 10,
        "domain_classifier": 768 * 100 + 100 + 100 + 1,
    }


def test_modern_adds_normalisation_and_dropout_to_the_extractor_alone():
    def kinds(part):
        return [type(module).__name__ for module in getattr(networks, part)]

    networks = build_networks("mnist_modern", classes=10, seed=0)
    assert kinds("feature_extractor").count("BatchNorm2d") == 2
    assert kinds("feature_extractor").count("Dropout2d") == 1
    plain = build_networks("mnist_paper", classes=10, seed=0)
    for part in ("label_predictor", "domain_classifier"):
        assert kinds(part) == [type(module).__name__ for module in getattr(plain, part)]


def test_a_network_that_does_not_take_the_pair_is_named():
    check_shape("mnist_paper", image_pair())
    with pytest.raises(BadInput) as caught:
        check_shape("moons", image_pair())
    assert str(caught.value) == "network moons takes inputs of shape (2,), pair images has (3, 28, 28)"
