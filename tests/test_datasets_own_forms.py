"""The forms in which people have their data: each becomes a domain, or is refused in one line."""

import math
import re

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix
from torch.utils.data import TensorDataset
from torchvision import datasets as published
from torchvision import transforms

from datasets import DatasetError, Layout, add_domain, add_features, find_backbone, load_pair
from datasets.__main__ import main
from datasets.domains import find_domain
from datasets.domains.preparing import prepare_domain
from tests.test_datasets_own import draw_folder

FEATURES = np.arange(24.0).reshape(6, 4)
LABELS = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))
    monkeypatch.setenv("GRL_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def arrays_of(name):
    return prepare_domain(find_domain(name)).arrays


def write_list(path, lines):
    path.write_text("".join(f"{one} {label}\n" for one, label in lines))
    return path


def test_a_list_as_office_home_has_it(tmp_path):
    """Its classes have their folders' names, so it makes a pair with folders; some paths contain a space."""
    folder = draw_folder(tmp_path / "Art", classes=("Alarm Clock", "Bike"))
    lines = [(f"Art/{name}/{i}.png", label) for i in (0, 1, 2) for label, name in enumerate(("Alarm Clock", "Bike"))]
    write_list(tmp_path / "art.txt", lines)
    domain = add_domain("art", tmp_path / "art.txt", write_list(tmp_path / "test.txt", lines[:1]))
    assert (domain.class_names, domain.counts) == (("Alarm Clock", "Bike"), (6, 1))
    add_domain("folder", folder)
    pair = load_pair("folder_to_art")
    assert pair.source.inputs[0].tolist() == pair.target.inputs[0].tolist()
    assert arrays_of("art")["train_labels"].tolist() == [0, 1] * 3


def test_a_list_whose_images_lie_elsewhere(tmp_path):
    draw_folder(tmp_path / "train", classes=("0", "1"))
    (tmp_path / "lists").mkdir()
    lines = [("0/0.png", 3), ("1/1.png", 10), ("0/2.png", 10)]
    write_list(tmp_path / "lists" / "image_list.txt", lines)
    arguments = ["add", "visda", "lists/image_list.txt", "--images", "train", "--classes", "plane", "car"]
    assert main(arguments) == 0
    assert find_domain("visda").class_names == ("plane", "car")
    assert arrays_of("visda")["train_labels"].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere.png 0\n", r"x\.txt line 1: there is no image .*nowhere\.png"),
        ("p/cat/0.png 0\n\np/cat/1.png\n", r"x\.txt line 3 must be a path and a label, got 'p/cat/1\.png'"),
        ("\n", r"x\.txt names no image"),
        ("p/cat/0.png 0\n", "class_names must be at least two different names"),
        ("p/cat/empty.png 0\np/dog/0.png 1\n", r"empty\.png cannot be read: "),
    ],
)
def test_bad_lists(tmp_path, text, message):
    (draw_folder(tmp_path / "p") / "cat" / "empty.png").write_bytes(b"")
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        add_domain("x", tmp_path / "x.txt")
    assert len(str(caught.value).splitlines()) == 1


def test_images_of_every_kind_beside_each_other(tmp_path):
    """Sizes, modes and formats differ; systems leave their files; a camera was held upright."""
    for name in ("cat", "dog"):
        folder = tmp_path / "photos" / "train" / name
        folder.mkdir(parents=True)
        (folder / ".DS_Store").write_bytes(b"Bud1")
        for i, mode in enumerate(("L", "P", "RGBA", "CMYK", "I;16", "1")):
            picture = Image.new("RGB", (20 + i, 30), (200, 200, 200))
            grey = Image.fromarray(np.full((30, 20), 200 * 257, np.uint16))
            picture = grey if mode == "I;16" else picture.convert(mode)
            picture.save(folder / f"{i}.{'tif' if mode == 'CMYK' else 'png'}")
        Image.new("RGB", (20, 40), (200, 200, 200)).save(folder / "x.webp")
        turned = Image.new("RGB", (40, 20), (200, 200, 200))
        turned.paste((0, 0, 0), (0, 0, 20, 20))
        exif = turned.getexif()
        exif[274] = 6  # held upright: what is stored on the left belongs on top
        turned.save(folder / "y.jpg", exif=exif, quality=95)
    domain = add_domain("photos", tmp_path / "photos", size=16)
    assert domain.counts == (16, 0)
    inputs = arrays_of("photos")["train_inputs"].astype(int)
    assert np.abs(inputs[[0, 1, 2, 3, 4, 6]] - 200).max() <= 15  # the palette has no 200
    assert inputs[7, :7].max() < 20
    assert inputs[7, 9:].min() > 180


def test_npz_and_mat_with_other_keys(tmp_path):
    np.savez(tmp_path / "x.npz", webcam_x=FEATURES, webcam_y=LABELS)
    with pytest.raises(DatasetError, match="it holds webcam_x, webcam_y; name them with --inputs and --labels"):
        add_domain("x", tmp_path / "x.npz")
    assert main(["add", "x", "x.npz", "--inputs", "webcam_x", "--labels", "webcam_y"]) == 0
    savemat(tmp_path / "y.mat", {"fts": FEATURES, "labels": LABELS[:, None] + 1})
    assert main(["add", "y", "y.mat", "y.mat", "--inputs", "fts", "--classes", "0", "1", "2"]) == 0
    pair = load_pair("x_to_y")
    torch.testing.assert_close(pair.source.inputs, pair.target.inputs)
    assert pair.evaluation.target_test.labels.tolist() == pair.source.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables(tmp_path, ending):
    columns = {f"f{i}": FEATURES[:, i] for i in range(4)}
    table = pandas.DataFrame({"label": np.array(["car", "bus", "van"])[LABELS], **columns})
    write = (lambda frame, path: frame.to_csv(path, index=False)) if ending == "csv" else pandas.DataFrame.to_parquet
    write(table, tmp_path / f"x.{ending}")
    domain = add_domain("x", tmp_path / f"x.{ending}", layout=Layout(labels="label"))
    assert domain.class_names == ("bus", "car", "van")
    assert arrays_of("x")["train_inputs"].tolist() == FEATURES.tolist()
    assert arrays_of("x")["train_labels"].tolist() == [1, 0, 2, 1, 0, 2]
    kept = add_domain("x", tmp_path / f"x.{ending}", layout=Layout(labels="label"), class_names=("van", "bus"))
    assert (kept.class_names, kept.counts) == (("van", "bus"), (4, 0))
    assert arrays_of("x")["train_labels"].tolist() == [1, 0, 1, 0]
    with pytest.raises(DatasetError, match=f"x.{ending} has no column labels, it has label, f0, f1, f2, f3; name them"):
        add_domain("x", tmp_path / f"x.{ending}")
    write(table.assign(file="a.png"), tmp_path / f"y.{ending}")
    with pytest.raises(DatasetError, match="column file does not hold numbers"):
        add_domain("y", tmp_path / f"y.{ending}", layout=Layout(labels="label"))


def test_classes_of_a_table_may_be_called_na_and_no_label_may_be_missing(tmp_path):
    path, columns = tmp_path / "x.csv", {f"f{i}": FEATURES[:, i] for i in range(4)}
    pandas.DataFrame({"label": ["NA", "null", "nan"] * 2, **columns}).to_csv(path, index=False)
    assert add_domain("x", path, layout=Layout(labels="label")).class_names == ("NA", "nan", "null")
    path.write_text(path.read_text().replace("null", "", 1))
    with pytest.raises(DatasetError, match="row 2 has no label"):
        add_domain("x", path, layout=Layout(labels="label"))
    pandas.DataFrame({"label": ["a", None, "b"] * 2, **columns}).to_parquet(tmp_path / "y.parquet")
    with pytest.raises(DatasetError, match="row 2 has no label"):
        add_domain("y", tmp_path / "y.parquet", layout=Layout(labels="label"))


@pytest.mark.parametrize("ending", ["csv", "CSV", "parquet"])
@pytest.mark.parametrize("order", [("b", "a", "label", "c"), ("c", "label", "b", "a")])
def test_columns_are_matched_by_name(tmp_path, ending, order):
    table = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [5.0, 6.0], "label": ["x", "y"]})
    if ending == "parquet":
        table.to_parquet(tmp_path / "x.parquet"), table[[*order]].to_parquet(tmp_path / "y.parquet")
    else:
        (
            table.to_csv(tmp_path / f"x.{ending}", index=False),
            table[[*order]].to_csv(tmp_path / f"y.{ending}", index=False),
        )
    layout = Layout(labels="label")
    add_domain("x", tmp_path / f"x.{ending}", tmp_path / f"y.{ending}", layout=layout)
    assert arrays_of("x")["test_inputs"].tolist() == arrays_of("x")["train_inputs"].tolist()
    add_domain("y", tmp_path / f"y.{ending}", layout=layout)
    with pytest.raises(DatasetError, match="pair x_to_y: columns must have one order, x has a, b, c; y has "):
        load_pair("x_to_y")


def test_columns_of_other_names_are_no_test_split(tmp_path):
    (tmp_path / "x.csv").write_text("a,b,labels\n1,2,0\n3,4,1\n")
    for header, message in (
        ("a,c", "it lacks b and has c besides"),
        ("foo,bar", "it lacks a, b and has bar, foo besides"),
        ("a,b,c", "it lacks none and has c besides"),
        ("a", "it lacks b and has none besides"),
    ):
        cells = ",".join("12345"[: header.count(",") + 1])
        (tmp_path / "y.csv").write_text(f"{header},labels\n{cells},0\n")
        with pytest.raises(
            DatasetError, match=f"y.csv: columns of the test split must be those of training, {message}"
        ):
            add_domain("x", tmp_path / "x.csv", tmp_path / "y.csv")


def test_columns_of_frames_in_memory():
    table, labels = pandas.DataFrame(FEATURES, columns=[*"abcd"]), pandas.Series(LABELS)
    add_domain("x", (table, labels), (table[[*"dbca"]], labels))
    assert arrays_of("x")["test_inputs"].tolist() == arrays_of("x")["train_inputs"].tolist() == FEATURES.tolist()
    with pytest.raises(DatasetError, match="it lacks a and has e besides"):
        add_domain("x", (table, labels), (table.rename(columns={"a": "e"}), labels))
    with pytest.raises(DatasetError, match="column 1 of the features has no name"):
        add_domain("x", (table.rename(columns={"a": "Unnamed: 0"}), labels))


def test_the_number_of_a_row_is_no_feature(tmp_path):
    table = pandas.DataFrame({"a": [1.0, 2.0], "labels": ["x", "y"]})
    table.to_csv(tmp_path / "x.csv")
    pandas.read_csv(tmp_path / "x.csv").to_parquet(tmp_path / "x.parquet")
    for ending in ("csv", "parquet"):
        with pytest.raises(DatasetError, match="column 1 of the features has no name; drop it"):
            add_domain("x", tmp_path / f"x.{ending}")
    table.to_parquet(tmp_path / "y.parquet", index=True)
    assert add_domain("y", tmp_path / "y.parquet").shape == (1,)


@pytest.mark.parametrize(
    ("text", "layout", "message"),
    [
        ("a,b,labels\n1,2,x\n3,,y\n", {}, "row 2 must have a number in column b, got ''"),
        ("a,b,labels\n1,nan,x\n3,4,y\n", {}, "row 1 must have a number in column b, got 'nan'"),
        ("a,b,labels\n1,2,x\n3,4 kg,y\n", {}, "row 2 must have a number in column b, got '4 kg'"),
        ("a,b,labels\n1,p,x\n3,q,y\n", {}, "column b does not hold numbers; drop it"),
        ("a,b,labels\n", {}, "it holds no sample"),
        ("a,labels\n1,2\n", {"inputs": "labels"}, "--inputs and --labels must name two things, got labels for both"),
    ],
)
def test_bad_tables(tmp_path, text, layout, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        add_domain("x", tmp_path / "x.csv", layout=Layout(**layout))
    assert len(str(caught.value).splitlines()) == 1


def test_lists_of_numbers_are_asked_for_by_their_column(tmp_path):
    pandas.DataFrame({"emb": list(FEATURES), "labels": LABELS}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DatasetError, match="column emb holds lists; take them as the samples with --inputs emb"):
        add_domain("x", tmp_path / "x.parquet")
    np.savez(tmp_path / "x.npz", labels=LABELS)
    with pytest.raises(DatasetError, match="--inputs and --labels must name two things, got labels for both"):
        add_domain("x", tmp_path / "x.npz", layout=Layout(inputs="labels"))


def test_numbers_beside_words_are_words_in_either_split(tmp_path):
    (tmp_path / "words.csv").write_text("a,labels\n1,2\n2,dog\n3,10\n")
    (tmp_path / "numbers.csv").write_text("a,labels\n1,2\n2,10\n")
    add_domain("x", tmp_path / "words.csv", tmp_path / "numbers.csv")
    assert find_domain("x").class_names == ("10", "2", "dog")
    assert arrays_of("x")["test_labels"].tolist() == [1, 0]
    with pytest.raises(DatasetError, match="test label dog is not among those of the classes, 2, 10"):
        add_domain("x", tmp_path / "numbers.csv", tmp_path / "words.csv")
    add_domain("x", (FEATURES[:2], [2, 10]), (FEATURES[:2], ["10", "2"]))
    assert arrays_of("x")["test_labels"].tolist() == [1, 0]


def test_what_matlab_puts_into_a_file(tmp_path):
    dense = np.eye(6)
    for name, labels in {
        "cells": np.array(["cat", "dog", "eel"], object)[LABELS][:, None],
        "numbers": np.array([1, 2, 10], object)[LABELS][None],
        "sparse": csc_matrix(LABELS[:, None] + 1.0),
    }.items():
        savemat(tmp_path / "x.mat", {"fts": csc_matrix(dense), "labels": labels})
        add_domain(name, tmp_path / "x.mat", layout=Layout(inputs="fts"))
        assert arrays_of(name)["train_inputs"].tolist() == dense.tolist()
        assert arrays_of(name)["train_labels"].tolist() == LABELS.tolist()
    assert [find_domain(name).class_names for name in ("cells", "numbers", "sparse")] == [
        ("cat", "dog", "eel"),
        ("1", "2", "10"),
        ("1", "2", "3"),
    ]
    names = np.array(["a", "b", "c"], object)
    savemat(tmp_path / "x.mat", {"inputs": FEATURES, "labels": LABELS, "class_names": names})
    assert add_domain("x", tmp_path / "x.mat").class_names == ("a", "b", "c")
    savemat(tmp_path / "x.mat", {"inputs": FEATURES, "labels": np.array(["a", "b", ""] * 2, object)})
    with pytest.raises(DatasetError, match="labels must not be missing, sample 2 has"):
        add_domain("x", tmp_path / "x.mat")
    wide = csc_matrix(([1.0], ([0], [3_000_000])), shape=(1000, 3_000_001))
    savemat(tmp_path / "x.mat", {"inputs": wide, "labels": np.arange(1000) % 2})
    with pytest.raises(
        DatasetError, match=r"1,000 samples of 3,000,001 features are 12\.0 GB when every 0 is written out"
    ):
        add_domain("x", tmp_path / "x.mat")


@pytest.mark.parametrize("missing", [None, math.nan, np.datetime64("NaT"), pandas.NaT, pandas.NA, "", "  ", b""])
def test_a_label_that_is_missing_is_no_class(missing):
    labels = ["a", "b", missing] * 2
    samples = [*zip(FEATURES, labels, strict=True)]
    for source in (
        (FEATURES, labels),
        (FEATURES, np.array(labels, object)),
        (FEATURES, pandas.Series(labels)),
        samples,
    ):
        with pytest.raises(DatasetError, match="labels must not be missing, sample 2 has"):
            add_domain("x", source)


def test_labels_of_bytes_are_words():
    for labels in ([b"a", b"b", b"c"] * 2, np.array([b"a", b"b", b"c"] * 2)):
        assert add_domain("x", (FEATURES, labels)).class_names == ("a", "b", "c")


def test_classes_may_be_chosen_by_their_numbers(tmp_path):
    domain = add_domain("x", (FEATURES, LABELS + 3), class_names=[5, 3])
    assert (domain.class_names, domain.counts) == (("5", "3"), (4, 0))
    add_domain("y", (FEATURES, LABELS + 3))
    with pytest.raises(DatasetError, match=r"class_names must be different classes of both \(5, 3\), got 5, 3"):
        load_pair("x_to_y", class_names=[5, 3])


def test_a_test_split_may_name_fewer_classes_in_another_order(tmp_path):
    named = {"inputs": FEATURES, "labels": LABELS, "class_names": ["a", "b", "c"]}
    np.savez(tmp_path / "train.npz", **named)
    np.savez(tmp_path / "test.npz", inputs=FEATURES[:3], labels=[0, 1, 1], class_names=["c", "a"])
    add_domain("x", tmp_path / "train.npz", tmp_path / "test.npz")
    assert arrays_of("x")["test_labels"].tolist() == [2, 0, 0]
    np.savez(tmp_path / "test.npz", inputs=FEATURES[:3], labels=[0, 1, 1], class_names=["c", "d"])
    with pytest.raises(DatasetError, match="test label d is not among the classes of training, a, b, c"):
        add_domain("x", tmp_path / "train.npz", tmp_path / "test.npz")


def test_a_table_with_a_column_of_lists(tmp_path):
    pandas.DataFrame({"embedding": list(FEATURES), "y": LABELS}).to_parquet(tmp_path / "x.parquet")
    add_domain("x", tmp_path / "x.parquet", layout=Layout(inputs="embedding", labels="y"))
    assert arrays_of("x")["train_inputs"].tolist() == FEATURES.tolist()


def test_sparse_files_of_other_labels_and_lengths(tmp_path):
    (tmp_path / "a.svmlight").write_text("-1 0:2 3:1\n1 1:1\n")
    (tmp_path / "b.svmlight").write_text("1 0:5 5:1\n2 0:1\n")
    named = {"class_names": ("bad", "good"), "layout": Layout(features=6)}
    add_domain("a", tmp_path / "a.svmlight", **named)
    add_domain("b", tmp_path / "b.svmlight", **named)
    assert load_pair("a_to_b").shape == (6,)
    (tmp_path / "c.svmlight").write_text("1 0:5 5:1\n-1 0:1\n")
    add_domain("c", tmp_path / "a.svmlight", tmp_path / "c.svmlight")  # features that the training file never uses
    assert arrays_of("c")["train_inputs"].shape == arrays_of("c")["test_inputs"].shape == (2, 6)
    add_domain("d", tmp_path / "a.svmlight")
    with pytest.raises(DatasetError, match=r"shapes do not fit: c has \(6,\), d has \(4,\)"):
        load_pair("c_to_d")


def test_arrays_in_memory():
    images = np.arange(6 * 25, dtype=np.uint8).reshape(6, 5, 5)
    domain = add_domain("images", (images, LABELS), (torch.from_numpy(images[:2]), [2, 0]), class_names=("a", "b", "c"))
    assert (domain.shape, domain.class_names, domain.counts) == ((5, 5, 1), ("a", "b", "c"), (6, 2))
    add_domain("words", (FEATURES, ["x", "y", "z"] * 2))
    assert find_domain("words").class_names == ("x", "y", "z")
    assert find_domain("words").origin == "tuple in Python"


def test_data_sets_of_torch(tmp_path):
    folder = draw_folder(tmp_path / "photos")
    add_domain("folder", folder)
    for name, transform in (("pillow", None), ("tensors", transforms.ToTensor())):
        add_domain(name, published.ImageFolder(str(folder), transform))
        assert find_domain(name).class_names == ("cat", "dog")
        assert arrays_of(name)["train_inputs"].tolist() == arrays_of("folder")["train_inputs"].tolist()
    add_domain("features", TensorDataset(torch.from_numpy(FEATURES), torch.from_numpy(LABELS)))
    assert arrays_of("features")["train_inputs"].tolist() == FEATURES.tolist()
    assert arrays_of("features")["train_labels"].tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (TensorDataset(torch.randn(4, 3, 8, 8) * 3, torch.arange(4)), r"fractions must lie in \[0, 1\], got -"),
        (TensorDataset(torch.zeros(4, 5, 8, 8), torch.arange(4)), r"pixels of 1 or 3 channels, got shape \(5, 8, 8\)"),
        (TensorDataset(torch.zeros(4, 2)), r"each sample of a data set must be \(input, label\), got tuple"),
        ([(np.zeros(2), 0), (np.zeros(3), 1)], r"must have one shape, got \(2,\) and \(3,\)"),
        ([(np.zeros(2), 0.5), (np.zeros(2), 1)], r"labels must be whole numbers, got 0\.5"),
        ([(np.full((8, 8), 300, np.uint16), 0)], r"pixels must be bytes, or fractions in \[0, 1\], got uint16"),
        ([(np.ones((8, 8), bool), 0)], r"pixels must be bytes, or fractions in \[0, 1\], got bool"),
        ([], "there is no training sample|inputs must be uint8"),
        (7, r"source must be a path, \(inputs, labels\), or have a length and an index, got 7"),
        ((FEATURES, LABELS[:2]), "train labels must be one for each of 6 inputs, got 2"),
        ((FEATURES.astype(object), LABELS), "in memory: inputs must be uint8"),
    ],
)
def test_bad_data_in_memory(source, message):
    with pytest.raises(DatasetError, match=message) as caught:
        add_domain("x", source)
    assert len(str(caught.value).splitlines()) == 1


def test_classes_that_differ_are_chosen_by_name(tmp_path):
    add_domain("a", draw_folder(tmp_path / "a", classes=("cat", "dog", "eel")))
    add_domain("b", draw_folder(tmp_path / "b", classes=("cat", "dog", "fox")))
    with pytest.raises(DatasetError, match=r"classes differ, .*--classes.* can choose among those of both: cat, dog"):
        load_pair("a_to_b")
    assert load_pair("a_to_b", class_names=["dog", "cat"]).source.labels.tolist() == [1, 1, 1, 0, 0, 0]
    assert main(["add", "a2", "a", "--classes", "dog", "cat"]) == 0
    add_domain("b2", tmp_path / "b", class_names=("dog", "cat"))
    assert load_pair("a2_to_b2").class_names == ("dog", "cat")
    assert add_features("a2", find_backbone("shufflenet_v2_x0_5", "random")).class_names == ("dog", "cat")
    with pytest.raises(DatasetError, match=re.escape("class 'fox' is not among its 3, cat, dog, eel")):
        add_domain("a2", tmp_path / "a", class_names=("cat", "fox"))
