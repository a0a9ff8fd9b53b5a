"""How like the original MNIST-M are the domains that are generated here?

    GRL_DATA=... python -m tests.benchmarks.mnist_m_fidelity                 # beside the original, where it lies
    GRL_DATA=... python -m tests.benchmarks.mnist_m_fidelity --test FOLDER   # beside its test images, which lie there
    GRL_DATA=... python -m tests.benchmarks.mnist_m_fidelity --original mnist_m_official_32 --ours mnist_m_32

Prints how many test images of the original are a BSDS500 training photograph under MNIST-M's rule, bit for bit, and a
Markdown table: channel means and spreads of the test images; how well the edges of image i correlate with those of the
binarised MNIST image i; and transfer both ways with one small network trained for 400 steps (mean and sample standard
deviation over the seeds). A domain that cannot be told from the original trains networks that do as well on the
original as on itself, and the other way round. A minute for each domain and five seeds on one core.
"""

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from datasets import Batches, DatasetError, Labelled, one_pass
from datasets.domains import find_domain
from datasets.domains.mnist_m import PHOTOGRAPHS, read_photographs
from datasets.domains.mnist_m_original import read_list
from datasets.domains.preparing import prepare_domain
from datasets.files.folders import data_root
from datasets.resize import cut_centre, pad_images

OURS = ("mnist_m", "mnist_m_official", "mnist_m_grey")
STEPS, BATCH, COMPARED = 400, 64, 2_000
POWERS = np.array([pow(0x9E3779B97F4A7C15, n, 1 << 64) for n in range(8)], np.uint64)


def open_splits(name):
    """Open the training and the test split of a domain."""
    arrays = prepare_domain(find_domain(name)).arrays
    return [
        Labelled(
            name=f"{name} {split}",
            inputs=torch.from_numpy(arrays[f"{split}_inputs"]),
            labels=torch.from_numpy(arrays[f"{split}_labels"]),
        )
        for split in ("train", "test")
    ]


def open_test(folder):
    """Open the test images of the original alone; nothing is known of its training images."""
    images, labels = read_list(folder / "mnist_m_test_labels.txt", folder / "mnist_m_test")
    return [None, Labelled(name="original test", inputs=torch.from_numpy(images), labels=torch.from_numpy(labels))]


def resized(split, size):
    """Cut the middle out of the images of a split."""
    inputs = torch.from_numpy(cut_centre(split.inputs.numpy(), size))
    return Labelled(name=split.name, inputs=inputs, labels=split.labels)


def edge_correlation(images, digits):
    """Correlate the edges of each image with those of the binarised digit of its number; the mean over images.

    An edge is the length of the gradient of the mean of the channels.
    """
    edges = [
        np.hypot(*np.gradient(pictures.mean(-1), axis=(1, 2))).reshape(len(pictures), -1)
        for pictures in (images.astype(float), (digits > 0).astype(float))
    ]
    first, second = (part - part.mean(1, keepdims=True) for part in edges)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(1) / np.maximum(norms, 1e-12)).mean())


def count_rebuilt(images, digits, photographs):
    """Count the images that are a crop of a photograph, inverted where the digit has ink, in every bit.

    Args:
        images: `(N, 32, 32, 3)`.
        digits: `(N, 28, 28, 1)`.
        photographs: each `(height, width, 3)`.
    """
    patches = pack(np.where(pad_images(digits, 32) > 0, 255 - images, images))  # (N, 32, 32)
    wanted = {}  # the first eight pixels of a patch find the few places where it can be
    for i, start in enumerate(patches[:, 0, :8] @ POWERS):
        wanted.setdefault(int(start), []).append(i)
    keys, found = np.array([*wanted], np.uint64), np.zeros(len(images), bool)
    for photograph in photographs:
        colours = pack(photograph)
        rows, columns = colours.shape[0] - 31, colours.shape[1] - 31
        starts = np.lib.stride_tricks.sliding_window_view(colours, 8, axis=1)[:rows, :columns] @ POWERS
        for y, x in np.argwhere(np.isin(starts, keys)):
            for i in wanted[int(starts[y, x])]:
                found[i] |= np.array_equal(colours[y : y + 32, x : x + 32], patches[i])
    return int(found.sum())


def pack(images):
    """Put the three bytes of each pixel into one number."""
    return images.astype(np.uint64) @ np.array([1 << 16, 1 << 8, 1], np.uint64)


def train(split, seed, steps=STEPS):
    """Train the fixed small network on one split.

    Returns:
        A function from images to logits, and the mean that it expects to be subtracted.
    """
    torch.manual_seed(seed)
    side = split.inputs.shape[1] // 4
    network = nn.Sequential(
        *(nn.Conv2d(3, 24, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(24, 48, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(48 * side * side, 100), nn.ReLU(), nn.Linear(100, 10)),
    )
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    mean = split.mean()
    batches = Batches(split, BATCH, seed=seed, mean=mean)
    for _ in range(steps):
        batch = next(batches)
        optimiser.zero_grad()
        functional.cross_entropy(network(batch.inputs), batch.labels).backward()
        optimiser.step()
    return network, mean


@torch.no_grad()
def accuracy(trained, split):
    """Measure a trained network on one split."""
    network, mean = trained
    right = sum(
        int((network(batch.inputs).argmax(1) == batch.labels).sum()) for batch in one_pass(split, 500, mean=mean)
    )
    return right / len(split)


def compare(original, ours, digits, seeds, steps=STEPS):
    """Compare domains with an original.

    Args:
        original: its training and test split; the former may be None.
        ours: the same of other domains by name.
        digits: the MNIST test images, `(N, 28, 28, 1)`.
        seeds: of the networks.
        steps: of each training.

    Yields:
        Cells of one row of the table.
    """
    of_original = [train(original[0], seed, steps) for seed in seeds if original[0]]
    for name, splits in {"original": original, **ours}.items():
        of_this = of_original if name == "original" else [train(splits[0], seed, steps) for seed in seeds]
        pictures = splits[1].inputs.numpy()
        rim, count = (pictures.shape[1] - 28) // 2, min(COMPARED, len(digits), len(pictures))
        centre = pictures[:count, rim : rim + 28, rim : rim + 28]
        scaled = pictures.astype(np.float32) / 255
        yield (
            name,
            " ".join(f"{value:.3f}" for value in scaled.mean((0, 1, 2))),
            " ".join(f"{value:.3f}" for value in scaled.std((0, 1, 2))),
            f"{edge_correlation(centre, digits[:count]):.3f}",
            spread([accuracy(one, splits[1]) for one in of_this]),
            spread([accuracy(one, original[1]) for one in of_this]),
            spread([accuracy(one, splits[1]) for one in of_original]),
        )


def spread(values):
    """Print a mean with its sample standard deviation."""
    if not values:
        return "–"
    return f"{statistics.mean(values):.3f}" + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", default="mnist_m_original_32", help="what to compare with (default %(default)s)")
    parser.add_argument("--test", type=Path, help="folder of mnist_m_test and mnist_m_test_labels.txt of the original")
    parser.add_argument("--ours", nargs="+", default=OURS, help="what to compare (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="networks for each number (default %(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        ours = {name: open_splits(name) for name in options.ours}
        digits = open_splits("mnist")[1].inputs.numpy()
        original = open_test(options.test) if options.test else open_splits(options.original)
        photographs = read_photographs(data_root() / PHOTOGRAPHS.path)
    except DatasetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    images = original[1].inputs.numpy()
    if images.shape[1] == 32:
        rebuilt = count_rebuilt(images, digits[: len(images)], photographs)
        print(
            f"{rebuilt:,} of {len(images):,} test images of the original are a photograph under the rule, bit for bit"
        )
    original = [split and resized(split, next(iter(ours.values()))[1].inputs.shape[1]) for split in original]
    if sizes := {name for name, splits in ours.items() if splits[1].inputs.shape[1:] != original[1].inputs.shape[1:]}:
        print(f"error: {', '.join(sorted(sizes))} must be of the size of {options.original}", file=sys.stderr)
        return 1
    print(f"original: {options.test or options.original}; {options.seeds} seeds, {STEPS} steps")
    print("| domain | mean | spread | edges | its own → its own | its own → original | original → it |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for cells in compare(original, ours, digits, range(options.seeds)):
        print(f"| {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
