"""The benchmark that compares with the original MNIST-M, on a small stand-in for it."""

import numpy as np
import pytest
import torch

from datasets import Labelled
from datasets.domains.blend import binarise, blend_digits
from datasets.domains.syn_digits import render_digits
from datasets.resize import pad_images
from tests.benchmarks.mnist_m_fidelity import accuracy, compare, count_rebuilt, edge_correlation, main, train

RANDOM = np.random.default_rng(0)
PHOTOGRAPHS = [np.kron(RANDOM.integers(0, 256, (6, 6, 3)), np.ones((12, 12, 1))).astype(np.uint8) for _ in range(5)]


def labelled(name, images, labels):
    return Labelled(name=name, inputs=torch.from_numpy(images), labels=torch.from_numpy(labels))


@pytest.fixture(scope="module")
def digits():
    return render_digits(300, "stand-in")


def domain(name, digits, rule):
    images, labels = digits
    blended = blend_digits(rule(images), PHOTOGRAPHS, 0, name)
    return labelled(f"{name} train", blended[100:], labels[100:]), labelled(f"{name} test", blended[:100], labels[:100])


def test_edges_tell_the_rule_and_the_order(digits):
    plain = digits[0][:100]
    binary = domain("a", digits, binarise)[1].inputs.numpy()
    grey = domain("a", digits, lambda images: images)[1].inputs.numpy()
    assert edge_correlation(binarise(plain), plain) == pytest.approx(1)
    assert edge_correlation(binary, plain) > edge_correlation(grey, plain) + 0.1
    assert abs(edge_correlation(binary, np.roll(plain, 1, axis=0))) < edge_correlation(binary, plain) / 2


def test_images_are_found_again_in_their_photographs(digits):
    plain = digits[0][:40]
    images = blend_digits(pad_images(binarise(plain), 32), PHOTOGRAPHS, 0, "x")
    assert count_rebuilt(images, plain, PHOTOGRAPHS) == 40
    images[3, 31, 31, 2] ^= 1
    assert count_rebuilt(images, plain, PHOTOGRAPHS) == 39
    assert count_rebuilt(images, np.roll(plain, 1, axis=0), PHOTOGRAPHS) == 0
    assert count_rebuilt(blend_digits(pad_images(plain, 32), PHOTOGRAPHS, 0, "x"), plain, PHOTOGRAPHS) == 0


def test_one_row_for_each_domain(digits):
    original, ours = domain("a", digits, binarise), domain("b", digits, binarise)
    rows = list(compare(original, {"ours": ours}, digits[0][:100], seeds=(0, 1), steps=2))
    assert [row[0] for row in rows] == ["original", "ours"]
    first, second = rows
    assert first[4] == first[5] == first[6]  # what is trained on the original is tested on the original
    assert all(" ± " in cell for cell in second[4:])
    (alone, beside) = compare((None, original[1]), {"ours": ours}, digits[0][:100], seeds=(0,), steps=1)
    assert alone[4:] == ("–", "–", "–")
    assert beside[6] == "–"
    assert "–" not in beside[4:6]


def test_the_small_network_learns(digits):
    images, labels = digits
    plain = labelled("plain", images.repeat(3, axis=-1), labels)
    assert accuracy(train(plain, 0, steps=0), plain) < 0.3
    assert accuracy(train(plain, 0, steps=40), plain) > 0.6


def test_without_the_files_it_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GRL_DATA", str(tmp_path))
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))
    assert main([]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: mnist_m needs MNIST/raw/train-images-idx3-ubyte, which is not in ")
    assert error.count("\n") == 1
