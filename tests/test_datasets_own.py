import numpy as np
import pytest
from PIL import Image

from datasets import DatasetError, add_domain, load_pair
from datasets.domains import find_domain
from datasets.domains.added import list_added


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))
    monkeypatch.setenv("GRL_DATA", str(tmp_path / "data"))


def draw_folder(folder, classes=("cat", "dog"), count=3, size=(20, 10), ending="png"):
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", size, (40 * label + 10, i, 200)).save(folder / name / f"{i}.{ending}")
    return folder


def test_a_folder_of_images(tmp_path):
    domain = add_domain("photos", draw_folder(tmp_path / "photos"), size=16)
    assert domain.class_names == ("cat", "dog")
    assert (domain.shape, domain.counts) == ((16, 16, 3), (6, 0))
    add_domain("sketches", draw_folder(tmp_path / "sketches", ending="jpg"), size=16)
    pair = load_pair("photos_to_sketches")
    assert pair.source.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert pair.source.inputs[3, 0, 0].tolist() == [50, 0, 200]
    assert [one.name for one in list_added()] == ["photos", "sketches"]
    assert "Your own data." in find_domain("photos").card["Summary"]


def test_train_and_test_folders(tmp_path):
    draw_folder(tmp_path / "p" / "train")
    draw_folder(tmp_path / "p" / "test", count=2)
    assert add_domain("p", tmp_path / "p").counts == (6, 4)


def test_adding_again_replaces(tmp_path):
    add_domain("p", draw_folder(tmp_path / "a"))
    assert add_domain("p", draw_folder(tmp_path / "b", count=5)).counts == (10, 0)
    assert find_domain("p").counts == (10, 0)


def test_npz_of_features_and_of_grey_images(tmp_path):
    np.savez(tmp_path / "f.npz", inputs=np.arange(12.0).reshape(6, 2), labels=[0, 1, 2, 0, 1, 2])
    domain = add_domain("features", tmp_path / "f.npz")
    assert (domain.class_names, domain.shape) == (("0", "1", "2"), (2,))
    np.savez(
        tmp_path / "g.npz",
        inputs=np.zeros((4, 5, 5), np.uint8),
        labels=[0, 1, 0, 1],
        test_inputs=np.zeros((2, 5, 5), np.uint8),
        test_labels=[1, 1],
        class_names=["no", "yes"],
    )
    domain = add_domain("grey", tmp_path / "g.npz")
    assert (domain.class_names, domain.shape, domain.counts) == (("no", "yes"), (5, 5, 1), (4, 2))


def test_a_pair_of_svmlight_files(tmp_path):
    (tmp_path / "a.svmlight").write_text("-1 0:2 3:1\n1 1:1\n")
    (tmp_path / "b.svmlight").write_text("1 0:5\n")
    add_domain("words", tmp_path / "a.svmlight", tmp_path / "b.svmlight")
    add_domain("others", tmp_path / "a.svmlight")
    pair = load_pair("words_to_others")
    assert pair.class_names == ("-1", "1")
    assert pair.source.inputs.tolist() == [[2, 0, 0, 1], [0, 1, 0, 0]]
    assert pair.evaluation.source_test.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnist", "'mnist' belongs to a domain of this repository"),
        ("a_to_b", "name must be 1 to 100 of a-z, 0-9 and _ without '_to_', got 'a_to_b'"),
        ("../x", "name must be 1 to 100 of a-z"),
        ("", "name must be 1 to 100 of a-z"),
    ],
)
def test_bad_names(tmp_path, name, message):
    with pytest.raises(DatasetError, match=message):
        add_domain(name, draw_folder(tmp_path / "p"))


def spoil(tmp_path, content):
    folder = draw_folder(tmp_path / "p")
    (folder / "dog" / "1.png").write_bytes(content)
    return folder


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_a_picture_that_cannot_be_read(tmp_path, content):
    with pytest.raises(DatasetError, match=r"dog/1\.png cannot be read: "):
        add_domain("p", spoil(tmp_path, content))
    assert not [*list_added()]


def test_a_truncated_picture(tmp_path):
    folder = draw_folder(tmp_path / "p", size=(200, 200), ending="jpg")
    path = folder / "cat" / "0.jpg"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DatasetError, match=r"cat/0\.jpg cannot be read: .*truncated"):
        add_domain("p", folder)


def test_an_empty_class(tmp_path):
    (draw_folder(tmp_path / "p") / "eel").mkdir()
    with pytest.raises(DatasetError, match="eel holds no image"):
        add_domain("p", tmp_path / "p")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3)}, "must hold inputs and labels, it holds x; name them with --inputs and --labels"),
        ({"inputs": np.zeros((3, 2)), "labels": [0, 1]}, "train labels must be one for each of 3 inputs, got 2"),
        ({"inputs": np.zeros((2, 2)), "labels": [0.5, 1]}, "labels must be whole numbers, got 0.5"),
        ({"inputs": np.zeros((2, 2)), "labels": [0, np.nan]}, "labels must be whole numbers, got nan"),
        (
            {"inputs": np.zeros((2, 2)), "labels": [0, 1], "test_inputs": np.zeros((1, 2))},
            "test labels must be one for each of 1",
        ),
        ({"inputs": np.zeros((2, 2)), "labels": [0, 1], "test_inputs": np.zeros((0, 2))}, "there is no test sample"),
        (
            {"inputs": np.ones((2, 2)), "labels": [0, 1], "test_inputs": np.ones((1, 2)), "test_labels": [2]},
            "test label 2 is not among those of the classes, 0, 1",
        ),
        (
            {"inputs": np.ones((2, 2)), "labels": np.array([2**63, 5], np.uint64)},
            "labels must lie within ± 9223372036854775807, got 9223372036854775808",
        ),
        (
            {"inputs": np.ones((2, 2)), "labels": ["a", "b"], "test_inputs": np.ones((2, 2)), "test_labels": ["a", ""]},
            "labels must not be missing, sample 1 has ''",
        ),
        (
            {"inputs": np.ones((2, 2)), "labels": np.array(["2020-01-01", "NaT"], "M8[D]")},
            "labels must not be missing, sample 1 has 'NaT'",
        ),
        (
            {"inputs": np.zeros((2, 3, 8, 8), np.uint8), "labels": [0, 1]},
            r"images must be \(N, H, W, C\), got \(N, 3, 8, 8\), .* np\.moveaxis\(inputs, 1, 3\) puts the channels",
        ),
        ({"inputs": np.zeros((2, 1, 28, 28), np.uint8), "labels": [0, 1]}, r"got \(N, 1, 28, 28\), which looks like"),
        ({"inputs": np.full((2, 2), np.nan), "labels": [0, 1]}, "inputs must be finite, sample 0 is not"),
        ({"inputs": np.zeros((2, 3, 3, 1)), "labels": [0, 1]}, "inputs must be uint8"),
        ({"inputs": np.zeros((0, 3)), "labels": np.zeros(0)}, "there is no training sample"),
        ({"inputs": np.zeros((2, 2)), "labels": [0, 2], "class_names": ["a", "b", "c"]}, "class 'b' has no training"),
        (
            {"inputs": np.zeros((2, 2)), "labels": [0, 7], "class_names": ["a", "b"]},
            "label 7 is not among those of the classes, 0, 1",
        ),
        ({"inputs": np.zeros((2, 2)), "labels": [0, 0]}, "class_names must be at least two different names, got 0"),
        ({"inputs": np.array([["a"]]), "labels": [0]}, r"inputs must be uint8 .* got <U1 of shape \(1, 1\)"),
        ({"inputs": np.ones((2, 2), complex), "labels": [0, 1]}, "inputs must be uint8 .* got complex128"),
        ({"inputs": np.full((2, 2), 1e300), "labels": [0, 1]}, "inputs must be finite, sample 0 is not"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DatasetError, match=message):
        add_domain("x", tmp_path / "x.npz")
    assert not [*list_added()]


def test_images_of_many_channels_or_few_pixels(tmp_path):
    for name, shape in (("bands", (4, 8, 8, 13)), ("strip", (4, 1, 8, 3)), ("tiny", (4, 3, 4, 4))):
        np.savez(tmp_path / "x.npz", inputs=np.zeros(shape, np.uint8), labels=[0, 1, 0, 1])
        assert add_domain(name, tmp_path / "x.npz").shape == shape[1:]


def test_what_is_no_archive_is_not_to_be_trusted(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2)))
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    (tmp_path / "y.npz").write_bytes(b"<html>moved</html>")
    (tmp_path / "z.npz").write_bytes(b"")
    for name in "xyz":
        with pytest.raises(
            DatasetError, match=rf"{name}\.npz cannot be read: it is not an \.npz archive, as numpy\.savez"
        ):
            add_domain("x", tmp_path / f"{name}.npz")


def test_npz_with_objects_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", inputs=np.array([object()]), labels=[0], allow_pickle=True)
    with pytest.raises(DatasetError, match=r"x\.npz cannot be read: Object arrays"):
        add_domain("x", tmp_path / "x.npz")


def test_svmlight_labels_must_be_whole(tmp_path):
    (tmp_path / "a.svmlight").write_text("0.5 0:2\n1 0:1\n")
    with pytest.raises(DatasetError, match=r"a\.svmlight cannot be read: labels must be whole numbers, got 0.5"):
        add_domain("x", tmp_path / "a.svmlight")


def test_a_class_that_only_the_test_folder_has(tmp_path):
    draw_folder(tmp_path / "p" / "train")
    draw_folder(tmp_path / "p" / "test", classes=("cat", "eel"))
    with pytest.raises(DatasetError, match="test: class 'eel' does not occur in"):
        add_domain("p", tmp_path / "p")
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        add_domain("p", tmp_path / "p" / "train", tmp_path / "nowhere")


def test_neither_folder_nor_known_file(tmp_path):
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(DatasetError, match=r"x\.txt names no image; write a path and a label on each line"):
        add_domain("x", tmp_path / "x.txt")
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        add_domain("x", tmp_path / "nowhere")
    (tmp_path / "x.doc").write_text("")
    with pytest.raises(
        DatasetError, match=r"x\.doc must be a folder of images, a list \(\.txt\), or one of \.npz, \.mat"
    ):
        add_domain("x", tmp_path / "x.doc")
    with pytest.raises(DatasetError, match="at least two folders, one per class; it holds 0"):
        add_domain("x", tmp_path)
    with pytest.raises(DatasetError, match="size must be 1 to 1024, got 0"):
        add_domain("x", tmp_path, size=0)
    with pytest.raises(DatasetError, match="size must be 1 to 1024, got 100000"):
        add_domain("x", tmp_path, size=100_000)
    np.savez(tmp_path / "x.npz", inputs=np.zeros((4, 2)), labels=[0, 1, 0, 1])
    with pytest.raises(DatasetError, match=r"y\.npz does not exist"):
        add_domain("x", tmp_path / "x.npz", tmp_path / "y.npz")


def test_what_systems_leave_between_data_is_no_data(tmp_path):
    folder = draw_folder(tmp_path / "p")
    for name in (".ipynb_checkpoints", "__MACOSX", ".git"):
        (folder / name).mkdir()
    (folder / ".DS_Store").write_bytes(b"Bud1")
    for name in (".DS_Store", "._0.png", "Thumbs.db", "notes.txt"):
        (folder / "cat" / name).write_bytes(b"no image")
    domain = add_domain("p", folder)
    assert (domain.class_names, domain.counts) == (("cat", "dog"), (6, 0))


def test_a_class_may_be_called_train(tmp_path):
    assert add_domain("p", draw_folder(tmp_path / "p", classes=("car", "train"))).class_names == ("car", "train")
    for part in ("train", "test", "val"):
        draw_folder(tmp_path / "q" / part, count=2)
    assert add_domain("q", tmp_path / "q").counts == (4, 4)


def test_an_empty_test_folder(tmp_path):
    draw_folder(tmp_path / "p" / "train")
    for name in ("cat", "dog"):
        (tmp_path / "p" / "test" / name).mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"p/test holds no image in the folders cat, dog"):
        add_domain("p", tmp_path / "p")


@pytest.mark.parametrize("pair", [(-1, 1), (0, 1), (1, 2)])
def test_svmlight_labels_of_every_custom(tmp_path, pair):
    (tmp_path / "a.svmlight").write_text("".join(f"{label} 1:{label + 2}\n" for label in (*pair, *pair)))
    add_domain("others", tmp_path / "a.svmlight")
    domain = add_domain("words", tmp_path / "a.svmlight", tmp_path / "a.svmlight")
    assert domain.class_names == tuple(map(str, pair))
    assert load_pair("others_to_words").evaluation.target_test.labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read: it holds no sample"),
        (
            "-1 0:1\n1 300000000:1\n",
            r"2 samples of 300,000,001 features are 2\.4 GB when every 0 is written out, at most 2 are read",
        ),
        ("-1 0:1\n1 3000000000:1\n", "cannot be read: "),
        ("1 0:1\n", "class_names must be at least two different names, got 1"),
        ("one 0:1\n", "cannot be read: could not convert"),
        ("1.5 0:1\n2 0:1\n", r"labels must be whole numbers, got 1\.5"),
        ("1e19 0:1\n2e19 0:1\n", r"labels must lie within ± 9007199254740991, got 10000000000000000000"),
        ("-1e300 0:1\n2 0:1\n", r"labels must lie within ± 9007199254740991, got -1"),
        ("9007199254740993 0:1\n9007199254740992 0:1\n", r"labels must lie within ± 9007199254740991, got 9007"),
        ("1 0:nan\n2 0:1\n", "cannot be read: |inputs must be finite"),
        ("1 -4:1\n2 0:1\n", "cannot be read: "),
        ("<html>moved</html>", "cannot be read: "),
    ],
)
def test_bad_svmlight(tmp_path, text, message):
    (tmp_path / "a.svmlight").write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        add_domain("words", tmp_path / "a.svmlight")
    assert len(str(caught.value).splitlines()) == 1
