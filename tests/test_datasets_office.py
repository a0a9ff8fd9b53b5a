import os

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from datasets import Augment, Batches, DatasetError, load_pair
from datasets.domains import DOMAINS
from datasets.domains.office import (
    CALTECH10_CLASSES,
    FEATURES,
    OFFICE31_CLASSES,
    build_caltech10_features,
    build_office31,
)
from datasets.domains.preparing import prepare_domain

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


def test_office31_says_what_to_do_by_hand(tmp_path, monkeypatch):
    from datasets.files.originals import fetch

    (original,) = DOMAINS["office31_amazon"].originals
    with pytest.raises(
        DatasetError, match=r"domain_adaptation_images\.tar\.gz .* it belongs at .*office31/amazon/images"
    ):
        fetch(original, tmp_path)


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
