import hashlib

import numpy as np
import pytest
from PIL import Image

from datasets import DatasetError, add_domain
from datasets.files import images
from datasets.files.images import open_rgb, read_image

RANDOM = np.random.default_rng(0)
COLOURS = np.kron(RANDOM.integers(0, 256, (3, 5, 3)), np.ones((8, 8, 1))).astype(np.uint8)  # (24, 40, 3)
ENDINGS = ["bmp", "gif", "jpg", "png", "ppm", "tif", "webp"]


@pytest.mark.parametrize(("resample", "digest"), [("BILINEAR", "8362f0f55faca801"), ("BICUBIC", "fa1547c8a11304ad")])
def test_pillow_resizes_as_it_did(resample, digest):
    """Where it rounds otherwise, as 12 does, the same photographs have another fingerprint and their runs are stale."""
    noise = np.random.default_rng(0).integers(0, 256, (57, 43, 3), dtype=np.uint8)
    resized = np.asarray(Image.fromarray(noise).resize((40, 40), Image.Resampling[resample]))
    assert hashlib.sha256(resized.tobytes()).hexdigest().startswith(digest)


def save(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format(tmp_path, ending):
    options = {"jpg": {"quality": 95}, "webp": {"lossless": True}}.get(ending, {})
    found = read_image(save(tmp_path / f"x.{ending}", Image.fromarray(COLOURS), **options)).astype(int)
    assert found.shape == COLOURS.shape
    assert np.abs(found - COLOURS).mean() < {"jpg": 15, "gif": 15}.get(ending, 0.01)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_is_what_people_see(tmp_path, mode):
    """A white square on black stays one."""
    square = np.zeros((20, 30), np.uint8)
    square[5:10, 5:15] = 255
    if mode == "I;16":
        picture = Image.fromarray(square.astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(square).convert(mode)
    ending = {"CMYK": "tif", "YCbCr": "jpg"}.get(mode, "png")
    found = read_image(save(tmp_path / f"x.{ending}", picture))
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - square[..., None]).mean() < 3


def test_16_bits_keep_their_greys(tmp_path):
    greys = np.linspace(0, 65535, 200).astype(np.uint16).reshape(10, 20)
    found = read_image(save(tmp_path / "x.png", Image.fromarray(greys)))[..., 0]
    assert np.abs(found.astype(int) - greys / 257).max() <= 1


def test_transparent_parts_become_white(tmp_path):
    picture = np.zeros((4, 6, 4), np.uint8)
    picture[:, 3:, 3] = 255
    found = read_image(save(tmp_path / "x.png", Image.fromarray(picture)))
    assert found[:, :3].min() == 255
    assert found[:, 3:].max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_upright(tmp_path, orientation):
    stored = Image.fromarray(COLOURS)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_image(save(tmp_path / "x.png", stored, exif=exif))
    turned = {
        1: COLOURS,
        2: COLOURS[:, ::-1],
        3: COLOURS[::-1, ::-1],
        4: COLOURS[::-1],
        5: COLOURS.transpose(1, 0, 2),
        6: COLOURS.transpose(1, 0, 2)[:, ::-1],
        7: COLOURS.transpose(1, 0, 2)[::-1, ::-1],
        8: COLOURS.transpose(1, 0, 2)[::-1],
    }
    np.testing.assert_array_equal(found, turned[orientation])
    np.testing.assert_array_equal(np.asarray(open_rgb(tmp_path / "x.png", turn=False)), COLOURS)


def test_a_picture_that_would_fill_the_memory(tmp_path):
    """169 megapixels in a file of 21 kB."""
    path = save(tmp_path / "x.png", Image.new("1", (13_000, 13_000)))
    with pytest.raises(DatasetError, match=r"x\.png cannot be read: 13000 × 13000 pixels are more than 64,000,000"):
        read_image(path)


def test_floating_point_is_refused(tmp_path):
    path = save(tmp_path / "x.tif", Image.fromarray(np.ones((4, 4), np.float32)))
    with pytest.raises(DatasetError, match=r"x\.tif cannot be read: floating-point brightness has no fixed white"):
        read_image(path)


def test_a_folder_of_all_of_them(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))
    for name in ("a", "b"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for ending in ENDINGS:
            save(tmp_path / "p" / name / f"x.{ending.upper()}", Image.fromarray(COLOURS))
    assert add_domain("p", tmp_path / "p").counts == (2 * len(ENDINGS), 0)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"P6 1"])
def test_damaged_files_are_one_line(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(DatasetError, match=r"x\.png cannot be read: ") as caught:
        images.read_image(tmp_path / "x.png")
    assert len(str(caught.value).splitlines()) == 1
