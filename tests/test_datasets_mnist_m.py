import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import DatasetError
from datasets.domains import DOMAINS
from datasets.domains.mnist import build_mnist
from datasets.domains.mnist_m import PHOTOGRAPHS, build_mnist_m, build_mnist_m_grey, read_photographs
from datasets.files.originals import fetch
from datasets.files.prepared import digest_of
from tests.support.local_server import LocalServer
from tests.support.mnist_files import write_mnist

REAL = os.environ.get("GRL_DATA")


def draw_photographs(root, count=200):
    folder = root / PHOTOGRAPHS.path
    folder.mkdir(parents=True)
    for i in range(count):
        Image.new("RGB", (34, 35), (i, 255 - i, 7)).save(folder / f"{i * 37}.jpg")
    return folder


def test_the_rule_of_the_original(tmp_path):
    """Over photographs of one colour each image is that colour, and its negative wherever the digit has any ink."""
    draw_photographs(write_mnist(tmp_path))
    digits, whole = build_mnist(tmp_path), build_mnist_m(tmp_path, 32, (25, 10))
    assert whole["train_inputs"].shape == (25, 32, 32, 3)
    np.testing.assert_array_equal(whole["train_labels"], np.arange(25) % 10)
    for split, count in (("train", 25), ("test", 10)):
        ink = np.zeros((count, 32, 32), bool)
        ink[:, 2:30, 2:30] = digits[f"{split}_inputs"][:count, ..., 0] > 0
        for image, inked in zip(whole[f"{split}_inputs"], ink, strict=True):
            paper = image[0, 0].astype(int)
            assert (np.abs(image[~inked].astype(int) - paper) <= 3).all()  # what JPEG left of one colour
            assert (np.abs(image[inked].astype(int) - (255 - paper)) <= 3).all()


def test_sizes_and_counts_are_parts_of_one_whole(tmp_path):
    draw_photographs(write_mnist(tmp_path))
    whole, middle = build_mnist_m(tmp_path, 32, (30, 10)), build_mnist_m(tmp_path, 28, (20, 9))
    for split, count in (("train", 20), ("test", 9)):
        np.testing.assert_array_equal(middle[f"{split}_inputs"], whole[f"{split}_inputs"][:count, 2:30, 2:30])
        np.testing.assert_array_equal(middle[f"{split}_labels"], whole[f"{split}_labels"][:count])


def test_grey_digits_stay_grey(tmp_path):
    draw_photographs(write_mnist(tmp_path))
    grey, digits = build_mnist_m_grey(tmp_path), build_mnist(tmp_path)
    dark = (digits["train_inputs"] > 100) & (digits["train_inputs"] < 150)
    blue = grey["train_inputs"][..., 2:]  # the photographs have 7 there
    assert np.abs(blue[dark].astype(int) - digits["train_inputs"][dark].astype(int) + 7).max() <= 4


def test_photographs_come_in_the_order_of_their_numbers(tmp_path):
    photographs = read_photographs(draw_photographs(tmp_path))
    assert [int(photograph[0, 0, 0]) for photograph in photographs][:5] == pytest.approx([0, 1, 2, 3, 4], abs=2)


def test_a_photograph_is_missing(tmp_path):
    draw_photographs(write_mnist(tmp_path), 199)
    with pytest.raises(DatasetError, match="images/train holds 199 photographs, expected 200"):
        build_mnist_m(tmp_path, 28, (30, 10))


def test_a_photograph_is_damaged(tmp_path):
    folder = draw_photographs(tmp_path)
    (folder / "37.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"37\.jpg cannot be read"):
        read_photographs(folder)


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
def test_the_published_bytes():
    """All of them from the two that are large: the others are their middles and their beginnings."""
    root = Path(REAL)
    whole = DOMAINS["mnist_m_32"].build(root)
    assert digest_of(DOMAINS["mnist_m_grey"].build(root)) == DOMAINS["mnist_m_grey"].digest
    for name in ("mnist_m", "mnist_m_32", "mnist_m_official", "mnist_m_official_32"):
        rim = (32 - DOMAINS[name].shape[0]) // 2
        part = {}
        for split, count in zip(("train", "test"), DOMAINS[name].counts, strict=True):
            part[f"{split}_inputs"] = whole[f"{split}_inputs"][:count, rim : 32 - rim, rim : 32 - rim]
            part[f"{split}_labels"] = whole[f"{split}_labels"][:count]
        assert digest_of(part) == DOMAINS[name].digest, name


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
def test_the_archive_of_photographs_from_a_server(tmp_path):
    """The layout of Berkeley's archive, its stray Thumbs.db included, through download, unpacking and the digest."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.add(Path(REAL) / PHOTOGRAPHS.path, arcname=PHOTOGRAPHS.path)
        tar.addfile(tarfile.TarInfo(f"{PHOTOGRAPHS.path}/Thumbs.db"))
    with LocalServer({"BSR_bsds500.tgz": stream.getvalue()}) as server:
        urls = (server.url("truncated", "BSR_bsds500.tgz"), server.url("good", "BSR_bsds500.tgz"))
        folder = fetch(replace(PHOTOGRAPHS, urls=urls), tmp_path)
    assert len(read_photographs(folder)) == 200
