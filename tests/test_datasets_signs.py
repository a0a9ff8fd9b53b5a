import os

import numpy as np
import pytest
from PIL import Image

from datasets import DatasetError
from datasets.domains.signs import GTSRB, SIGNS, build_gtsrb, build_syn_signs, divide

REAL = os.environ.get("GRL_DATA")


def draw_gtsrb(root, place=GTSRB.path, region="2;3;21;22"):
    for label in range(len(SIGNS)):
        folder = root / place / f"{label:05d}"
        folder.mkdir(parents=True)
        lines = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
        for i in range(5):
            picture = Image.new("RGB", (25, 26), (255, 255, 255))
            picture.paste((label, i, 0), (2, 3, 22, 23))
            picture.save(folder / f"00000_{i:05d}.ppm")
            lines.append(f"00000_{i:05d}.ppm;25;26;{region};{label}")
        (folder / f"GT-{label:05d}.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("place", [GTSRB.path, *GTSRB.also])
def test_region_of_interest_alone_and_every_image_once(tmp_path, place):
    arrays = build_gtsrb(draw_gtsrb(tmp_path, place))
    assert len(arrays["train_labels"]) == 172  # 31,367 of 39,209 are four fifths
    assert len(arrays["test_labels"]) == 43
    seen = set()
    for split in ("train", "test"):
        for image, label in zip(arrays[f"{split}_inputs"], arrays[f"{split}_labels"], strict=True):
            assert image.shape == (40, 40, 3)
            assert (image == image[0, 0]).all()  # nothing of the white surroundings
            assert image[0, 0, 0] == label
            seen.add((int(label), int(image[0, 0, 1])))
    assert len(seen) == 215


def test_region_outside_the_picture(tmp_path):
    with pytest.raises(DatasetError, match=r"00000_00000\.ppm: region \(2, 3, 31, 23\) is not inside 25 × 26 pixels"):
        build_gtsrb(draw_gtsrb(tmp_path, region="2;3;30;22"))


def test_a_class_table_is_missing(tmp_path):
    (draw_gtsrb(tmp_path) / GTSRB.path / "00007" / "GT-00007.csv").unlink()
    with pytest.raises(DatasetError, match=r"GT-00007\.csv cannot be read"):
        build_gtsrb(tmp_path)


def draw_syn_signs(root, lines):
    (root / "synsigns" / "train").mkdir(parents=True)
    for i in range(20):
        Image.new("RGB", (40, 40), (i, 0, 0)).save(root / "synsigns" / "train" / f"{i}.png")
    (root / "synsigns" / "train_labelling.txt").write_text("\n".join(lines) + "\n")
    return root


def test_an_image_listed_twice_counts_once(tmp_path):
    lines = [f"train/{i}.png {i} 0.5" for i in range(20)]
    arrays = build_syn_signs(draw_syn_signs(tmp_path, [*lines, lines[3]]))
    assert len(arrays["train_labels"]) + len(arrays["test_labels"]) == 20
    for split in ("train", "test"):
        assert arrays[f"{split}_inputs"][:, 0, 0, 0].tolist() == arrays[f"{split}_labels"].tolist()


@pytest.mark.parametrize("line", ["train/0.png", "train/0.png sign", "train/99.png 1 0"])
def test_a_bad_line(tmp_path, line):
    with pytest.raises(DatasetError, match=r"train_labelling\.txt cannot be read|99\.png cannot be read"):
        build_syn_signs(draw_syn_signs(tmp_path, [line]))


def test_divide_keeps_order_and_loses_nothing():
    arrays = divide([np.full((1,), i) for i in range(50)], list(range(50)), 0.2, "x")
    assert sorted([*arrays["train_labels"], *arrays["test_labels"]]) == list(range(50))
    assert (np.diff(arrays["train_labels"]) > 0).all()
    assert len(arrays["test_labels"]) == 10


def test_names():
    assert len(set(SIGNS)) == 43
    assert (SIGNS[14], SIGNS[17], SIGNS[25], SIGNS[40]) == ("stop", "no entry", "road works", "roundabout")


@pytest.mark.skipif(not REAL, reason="GRL_DATA is not set")
@pytest.mark.parametrize("build", [build_gtsrb, build_syn_signs])
def test_real_files_cover_every_class(build):
    from datasets.files.folders import data_root

    arrays = build(data_root())
    assert set(arrays["train_labels"].tolist()) == set(range(43))
