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
from datasets.domains.mnist_m import PHOTOGRAPHS, build_mnist_m, read_photographs
from datasets.domains.preparing import prepare_domain
from datasets.files.originals import fetch
from tests.support.local_server import LocalServer
from tests.support.mnist_files import write_mnist

REAL = os.environ.get("GRL_DATA")


def draw_photographs(root, count=200):
    folder = root / PHOTOGRAPHS.path
    folder.mkdir(parents=True)
    for i in range(count):
        Image.new("RGB", (30, 31), (i, 255 - i, 7)).save(folder / f"{i * 37}.jpg")
    return folder


def test_image_i_is_made_from_digit_i(tmp_path):
    draw_photographs(write_mnist(tmp_path))
    arrays = build_mnist_m(tmp_path)
    assert arrays["train_inputs"].shape == (30, 28, 28, 3)
    binarised = build_mnist_m(tmp_path, binarise=True)
    np.testing.assert_array_equal(arrays["train_labels"], np.arange(30) % 10)
    assert not np.array_equal(arrays["train_inputs"], binarised["train_inputs"])


def test_photographs_come_in_the_order_of_their_numbers(tmp_path):
    photographs = read_photographs(draw_photographs(tmp_path))
    assert [int(photograph[0, 0, 0]) for photograph in photographs][:5] == pytest.approx([0, 1, 2, 3, 4], abs=2)


def test_a_photograph_is_missing(tmp_path):
    draw_photographs(write_mnist(tmp_path), 199)
    with pytest.raises(DatasetError, match="images/train holds 199 photographs, expected 200"):
        build_mnist_m(tmp_path)


def test_a_photograph_is_damaged(tmp_path):
    folder = draw_photographs(tmp_path)
    (folder / "37.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"37\.jpg cannot be read"):
        read_photographs(folder)


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
def test_the_published_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path))
    assert prepare_domain(DOMAINS["mnist_m"]).digest == DOMAINS["mnist_m"].digest


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
