import gzip
import io
import pickle

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from datasets import DatasetError
from datasets.domains import DOMAINS, mnist_m_original
from datasets.domains.mnist import build_mnist
from datasets.domains.mnist_m_original import build_original
from tests.support.mnist_files import write_mnist

RANDOM = np.random.default_rng(0)
COUNTS = {"train": 27, "test": 9}
STAND_IN = {split: RANDOM.integers(0, 256, (count, 32, 32, 3), np.uint8) for split, count in COUNTS.items()}


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """MNIST of 30 and 10 images, and a stand-in of 27 and 9 for the release."""
    monkeypatch.setattr(mnist_m_original, "COUNTS", tuple(COUNTS.values()))
    (tmp_path / "mnist_m").mkdir()
    return write_mnist(tmp_path)


def labels_of(root, split):
    return build_mnist(root)[f"{split}_labels"][: len(STAND_IN[split])]


def png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "png")
    return stream.getvalue()


def write_list(root, images=STAND_IN, labels=labels_of):
    for split, part in images.items():
        folder = root / "mnist_m" / f"mnist_m_{split}"
        folder.mkdir()
        names = [f"{i:08d}.png" for i in range(len(part))]
        for name, image in zip(names, part, strict=True):
            (folder / name).write_bytes(png(image))
        lines = [f"{name} {label}\n" for name, label in zip(names, labels(root, split), strict=False)]
        (root / "mnist_m" / f"mnist_m_{split}_labels.txt").write_text("".join(lines[::-1]))  # some copies are sorted


def write_parquet(root, images=STAND_IN, labels=labels_of, wrap=lambda content: {"bytes": content, "path": None}):
    (root / "mnist_m" / "data").mkdir()
    for split, part in images.items():
        halves = np.array_split(np.arange(len(part)), 2)  # shards
        for number, rows in enumerate(halves):
            table = {"image": [wrap(png(part[i])) for i in rows], "label": [int(labels(root, split)[i]) for i in rows]}
            parquet.write_table(pa.table(table), root / "mnist_m" / "data" / f"{split}-{number:05d}-of-00002.parquet")


def write_pickle(root, images=STAND_IN, labels=None, name="arrays.pkl", protocol=2):
    content = pickle.dumps({split.encode(): part for split, part in images.items()}, protocol)
    (root / "mnist_m" / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)


@pytest.mark.parametrize("write", [write_list, write_parquet, write_pickle])
def test_every_layout_gives_the_same(root, write):
    write(root)
    whole, middle = build_original(root, 32), build_original(root, 28)
    for split, images in STAND_IN.items():
        np.testing.assert_array_equal(whole[f"{split}_inputs"], images)
        np.testing.assert_array_equal(middle[f"{split}_inputs"], images[:, 2:30, 2:30])
        np.testing.assert_array_equal(whole[f"{split}_labels"], labels_of(root, split))


def test_bare_bytes_and_compressed_pickles(root):
    write_parquet(root, wrap=bytes)
    np.testing.assert_array_equal(build_original(root, 32)["test_inputs"], STAND_IN["test"])
    for path in (root / "mnist_m" / "data").iterdir():
        path.unlink()
    write_pickle(root, name="keras_mnistm.pkl.gz", protocol=4)
    np.testing.assert_array_equal(build_original(root, 32)["test_inputs"], STAND_IN["test"])


@pytest.mark.parametrize("write", [write_list, write_parquet, write_pickle])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({**STAND_IN, "test": STAND_IN["test"][:-1]}, r"the test images are uint8 of shape \(8, 32, 32, 3\), the orig"),
        ({**STAND_IN, "train": STAND_IN["train"][:, 2:30, 2:30]}, r"train images are uint8 of shape \(27, 28, 28, 3\)"),
    ],
)
def test_other_counts_and_sizes(root, write, images, message):
    write(root, images)
    with pytest.raises(DatasetError, match=message):
        build_original(root, 32)


@pytest.mark.parametrize("write", [write_list, write_parquet])
def test_shuffled_labels(root, write):
    write(root, labels=lambda root, split: np.roll(labels_of(root, split), 1))
    with pytest.raises(DatasetError, match=r"0\.000 of the train labels are those of MNIST's images in its order"):
        build_original(root, 32)


def test_a_few_labels_may_differ_and_are_kept(root):
    def labels(root, split):
        return labels_of(root, split) if split == "test" else np.append([9], labels_of(root, split)[1:])

    write_list(root, labels=labels)
    assert build_original(root, 32)["train_labels"].tolist() == [9, *labels_of(root, "train")[1:]]


def test_a_list_that_is_short_or_names_what_is_not_there(root):
    write_list(root)
    table = root / "mnist_m" / "mnist_m_train_labels.txt"
    table.write_text("nowhere.png 3\n")
    with pytest.raises(DatasetError, match=r"nowhere\.png cannot be read: .*No such file"):
        build_original(root, 32)
    table.write_text("00000000.png\n")
    with pytest.raises(DatasetError, match=r"train_labels\.txt cannot be read"):
        build_original(root, 32)


def test_images_of_two_sizes(root):
    write_list(root)
    Image.new("RGB", (31, 32)).save(root / "mnist_m" / "mnist_m_train" / "00000003.png")
    with pytest.raises(DatasetError, match=r"train_labels\.txt: images must have one size, they have 2"):
        build_original(root, 32)


def test_an_empty_folder_says_what_belongs_there(root):
    with pytest.raises(DatasetError, match=r"mnist_m holds neither mnist_m_train_labels\.txt nor a parquet file"):
        build_original(root, 32)


def test_a_pickle_with_code_is_refused_and_not_run(root, tmp_path):
    class Code:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    (root / "mnist_m" / "keras_mnistm.pkl").write_bytes(pickle.dumps({"train": Code(), "test": Code()}))
    with pytest.raises(DatasetError, match=r"keras_mnistm\.pkl cannot be read: it refers to io\.open, and only NumPy"):
        build_original(root, 32)
    assert not (tmp_path / "run").exists()


def test_the_catalogue_reads_the_counts_of_the_release():
    assert DOMAINS["mnist_m_original"].counts == DOMAINS["mnist_m_official"].counts == (59_001, 9_001)
