import hashlib
import io
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from sklearn.neighbors import KNeighborsClassifier

from datasets import Augment, Batches, DatasetError, load_pair
from datasets.domains import DOMAINS, office_home
from datasets.domains.office import (
    CALTECH10_CLASSES,
    FEATURES,
    OFFICE31_CLASSES,
    build_caltech10_features,
    build_office31,
)
from datasets.domains.preparing import prepare_domain
from datasets.files.originals import fetch
from tests.support.local_server import LocalServer
from tests.test_datasets_originals import tar_of

REAL = os.environ.get("GRL_DATA")


@pytest.mark.parametrize(
    "place", ["office31/dslr/images", "office31/dslr", "office31/domain_adaptation_images/dslr/images"]
)
def test_office31_wherever_it_was_unpacked(tmp_path, place):
    for label, name in enumerate(OFFICE31_CLASSES):
        (tmp_path / place / name).mkdir(parents=True)
        Image.new("RGB", (50, 30), (label, 0, 0)).save(tmp_path / place / name / "frame_0001.png")
    arrays = build_office31(tmp_path, "dslr")
    assert arrays["train_inputs"].shape == (31, 256, 256, 3)
    assert arrays["train_inputs"][:, 0, 0, 0].tolist() == arrays["train_labels"].tolist() == list(range(31))


def photograph(label):
    stream = io.BytesIO()
    Image.new("RGB", (50, 30), (5 * label, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def fetch_from_mirrors(original, archive, tmp_path):
    """Fetch an original of the catalogue, as it is but for its addresses, of which the first two fail."""
    with LocalServer({"archive": archive}) as server:
        urls = tuple(server.url(manner, "archive") for manner in ("missing", "corrupt", "good"))
        checksum = f"sha256:{hashlib.sha256(archive).hexdigest()}"
        found = fetch(replace(original, urls=urls, checksum=checksum), tmp_path)
        assert [path.split("/")[1] for path, _ in server.requests] == ["missing", "corrupt", "good"]
    return found


@pytest.mark.parametrize("above", ["", "domain_adaptation_images/"])
def test_office31_comes_from_a_mirror(tmp_path, above):
    entries = {
        f"{above}{part}/images/{name}/frame_0001.jpg": photograph(label)
        for part in ("dslr", "webcam")
        for label, name in enumerate(OFFICE31_CLASSES)
    }
    fetch_from_mirrors(DOMAINS["office31_dslr"].originals[0], tar_of(entries), tmp_path)
    assert build_office31(tmp_path, "dslr")["train_inputs"][:, 0, 0, 0].tolist() == [5 * label for label in range(31)]
    assert not (tmp_path / "office31" / "webcam").exists()


def test_office_caltech10_comes_from_a_mirror_with_the_names_of_office31(tmp_path):
    names = [{"backpack": "back_pack", "laptop": "laptop_computer"}.get(name, name) for name in CALTECH10_CLASSES]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for label, name in enumerate(names):
            archive.writestr(f"caltech/{name}/1.jpg", photograph(label))
    domain = DOMAINS["office_caltech10_caltech10"]
    fetch_from_mirrors(domain.originals[0], stream.getvalue(), tmp_path)
    assert domain.build(tmp_path)["train_inputs"][:, 0, 0, 0].tolist() == [5 * label for label in range(10)]
    deep = DOMAINS["office_caltech10_caltech10_efficientnet_lite0"]
    assert deep.missing(tmp_path) is None
    assert deep.missing(tmp_path / "elsewhere").path == "office_caltech10/images/caltech10"


def test_decaf_features_of_office31_come_from_a_mirror(tmp_path):
    entries = {}
    for label, name in enumerate(OFFICE31_CLASSES):
        savemat(stream := io.BytesIO(), {"fc8": np.full((1, 1000), label / 31)})
        entries |= {f"{part}/decaf-fts/{name}/frame_0001.mat": stream.getvalue() for part in ("amazon", "dslr")}
    domain = DOMAINS["office31_amazon_decaf"]
    fetch_from_mirrors(domain.originals[0], tar_of(entries), tmp_path)
    arrays = domain.build(tmp_path)
    assert arrays["train_inputs"].shape == (31, 1000)
    assert arrays["train_inputs"][:, 0].tolist() == [np.float32(label / 31) for label in range(31)]
    assert DOMAINS["office31_dslr_decaf"].missing(tmp_path) is None


@pytest.mark.parametrize("numbered", [True, False])
def test_office_home_features_come_from_a_mirror(tmp_path, numbered):
    domains = ("Art", "Clipart", "Product", "RealWorld")
    header = ",".join((*map(str, range(2048)), "label", "domain"))
    rows = [
        ",".join(
            (*(f"{i + j / 7:.3f}" for j in range(2048)), str(label) if numbered else office_home.CLASSES[label], one)
        )
        for i, one in enumerate(domains)
        for label in (64, 0)
    ]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("OfficeHomeResnet50.csv", "\n".join((header, *rows)))
    domain = DOMAINS["office_home_realworld_resnet50"]
    fetch_from_mirrors(domain.originals[0], stream.getvalue(), tmp_path)
    arrays = domain.build(tmp_path)
    assert arrays["train_labels"].tolist() == [64, 0]
    np.testing.assert_allclose(arrays["train_inputs"], [3 + np.arange(2048) / 7] * 2, atol=1e-3)
    assert len(office_home.CLASSES) == 65
    assert list(office_home.CLASSES) == sorted(office_home.CLASSES)


def test_office31_says_what_to_do_by_hand_where_no_mirror_works(tmp_path):
    (original,) = DOMAINS["office31_amazon"].originals
    with LocalServer({}) as server:
        original = replace(original, urls=(server.url("missing", "images.tar.gz"),))
        with pytest.raises(
            DatasetError,
            match=r"HTTP 404 .*; else by hand: download domain_adaptation_images\.tar\.gz .* it belongs at",
        ):
            fetch(original, tmp_path)


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
def test_standardised_surf_has_the_published_nearest_neighbours(tmp_path, monkeypatch):
    """The column NN of Long et al., "Transfer Feature Learning with Joint Distribution Adaptation", ICCV 2013."""
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path))
    parts = [prepare_domain(DOMAINS[f"office_caltech10_{part}_surf_zscore"]).arrays for part in ("webcam", "dslr")]
    for source, target, published in ((*parts, 59.24), (*reversed(parts), 63.39)):
        nearest = KNeighborsClassifier(1).fit(source["train_inputs"], source["train_labels"])
        assert round(100 * nearest.score(target["train_inputs"], target["train_labels"]), 2) == published


def write_matrix(tmp_path, **arrays):
    folder = tmp_path / "office_caltech10" / "features" / "surf"
    folder.mkdir(parents=True)
    savemat(folder / "dslr.mat", arrays)


def test_feature_matrix(tmp_path):
    write_matrix(tmp_path, fts=np.ones((10, 800)), labels=np.arange(1, 11)[:, None])
    arrays = build_caltech10_features(tmp_path, "dslr", "surf")
    assert arrays["train_inputs"].dtype == np.float32
    assert arrays["train_labels"].tolist() == list(range(10))


def test_bad_feature_matrix(tmp_path):
    write_matrix(tmp_path, features=np.ones((10, 800)))
    with pytest.raises(DatasetError, match=r"dslr\.mat cannot be read: 'fts'"):
        build_caltech10_features(tmp_path, "dslr", "surf")


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
@pytest.mark.parametrize("name", [domain.name for domain in FEATURES])
def test_real_feature_matrices(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path))
    assert prepare_domain(DOMAINS[name]).digest == DOMAINS[name].digest


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
def test_real_photographs_are_transductive_and_cropped(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path))
    pair = load_pair("office_caltech10_dslr_to_office_caltech10_webcam")
    assert pair.class_names == CALTECH10_CLASSES
    assert (len(pair.source), len(pair.target)) == (157, 295)
    assert pair.protocol.startswith("transductive: ")
    batch = next(Batches(pair.source, 8, seed=0, augment=Augment(crop=224, flip=True)))
    assert batch.inputs.shape == (8, 3, 224, 224)
