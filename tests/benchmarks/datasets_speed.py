"""How fast samples come: batches per second, time to open, time and memory to prepare.

    python -m tests.benchmarks.datasets_speed            # about two minutes; with GRL_DATA also the real files

Candidates are interleaved round by round; medians are printed. One compute thread in this process; a DataLoader's
workers are processes of their own.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from datasets import Augment, Batches, Labelled
from datasets.files.prepared import open_prepared, write_prepared

ROUNDS, BATCH = 5, 64
SETTLE_S = 1.0  # workers go on making batches ahead; they must not do so in the next candidate's time
MEAN = torch.tensor([0.4363, 0.4400, 0.3848])


class Samples(Dataset):
    """What a usual data set does for each sample: float, channels first, mean subtracted, perhaps cropped."""

    def __init__(self, split, crop=None):
        self.split, self.crop, self.mean = split, crop, MEAN.view(3, 1, 1)

    def __len__(self):
        return len(self.split)

    def __getitem__(self, index):
        image = self.split.inputs[index]
        if self.crop:
            top, left = torch.randint(0, image.shape[0] - self.crop + 1, (2,)).tolist()
            image = image[top : top + self.crop, left : left + self.crop]
            if torch.rand(()) < 0.5:
                image = image.flip(1)
        return image.permute(2, 0, 1).float() / 255 - self.mean, self.split.labels[index]


class Pictures(Dataset):
    """The same from JPEG files, decoded every time, as the usual Office loaders do."""

    def __init__(self, files, crop):
        self.files, self.crop, self.mean = files, crop, MEAN.view(3, 1, 1)

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        with Image.open(self.files[index]) as image:
            pixels = np.asarray(image.convert("RGB").resize((256, 256), Image.Resampling.BILINEAR))
        top, left = torch.randint(0, 257 - self.crop, (2,)).tolist()
        window = torch.from_numpy(pixels[top : top + self.crop, left : left + self.crop].copy())
        return window.permute(2, 0, 1).float() / 255 - self.mean, 0


def loader(dataset, workers):
    """Iterate endlessly over a shuffling DataLoader."""
    keep = {"persistent_workers": True} if workers else {}
    batches = DataLoader(dataset, BATCH, shuffle=True, drop_last=True, num_workers=workers, **keep)
    while True:
        yield from batches


def compare(title, candidates, count):
    """Print batches per second of every candidate, interleaved."""
    rates = {name: [] for name in candidates}
    for iterator in candidates.values():
        for _ in range(3):
            next(iterator)
    for _ in range(ROUNDS):
        for name, iterator in candidates.items():
            start = time.perf_counter()
            for _ in range(count):
                next(iterator)
            rates[name].append(count / (time.perf_counter() - start))
            time.sleep(SETTLE_S)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    first = next(iter(medians.values()))
    print(f"\n{title}: batches of {BATCH} per second, median of {ROUNDS} rounds of {count}")
    for name, rate in medians.items():
        print(f"  {name:42s} {rate:10,.0f}   {1e3 / rate:8.3f} ms   1/{first / rate:.1f}")


def small_images():
    inputs = torch.randint(0, 256, (60_000, 28, 28, 3), dtype=torch.uint8)
    split = Labelled(name="small", inputs=inputs, labels=torch.randint(0, 10, (60_000,)))
    augment = Augment(shift=2, flip=True, colour=0.3)
    compare(
        "MNIST-sized, 60,000 images of 28 × 28 × 3",
        {
            "Batches": Batches(split, BATCH, seed=0, mean=MEAN),
            "Batches, shift + flip + colour": Batches(split, BATCH, seed=0, mean=MEAN, augment=augment),
            "DataLoader, 0 workers": loader(Samples(split), 0),
            "DataLoader, 2 workers": loader(Samples(split), 2),
        },
        200,
    )


def large_images(folder):
    path = folder / "large.grl"
    random = np.random.default_rng(0)
    arrays = {"train_inputs": random.integers(0, 256, (1000, 256, 256, 3), np.uint8), "train_labels": np.arange(1000)}
    write_prepared(path, {}, arrays)
    opened = open_prepared(path).arrays
    split = Labelled(
        name="large",
        inputs=torch.from_numpy(opened["train_inputs"]),
        labels=torch.from_numpy(opened["train_labels"]),
    )
    augment = Augment(crop=224, flip=True)
    candidates = {
        "Batches, crop + flip": Batches(split, BATCH, seed=0, mean=MEAN, augment=augment),
        "DataLoader, same mapped file, 0 workers": loader(Samples(split, 224), 0),
        "DataLoader, same mapped file, 2 workers": loader(Samples(split, 224), 2),
    }
    if data := os.environ.get("GRL_DATA"):
        files = sorted(Path(data, "office_caltech10", "images", "amazon").rglob("*.jpg"))
        candidates["DataLoader, JPEG files, 0 workers"] = loader(Pictures(files, 224), 0)
        candidates["DataLoader, JPEG files, 2 workers"] = loader(Pictures(files, 224), 2)
    compare("Office-sized, 1,000 images of 256 × 256 × 3, random crops of 224", candidates, 6)


PREPARE = """
import sys, time
from datasets.domains import DOMAINS
from datasets.domains.preparing import prepare_domain
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
before = peak()
domain = DOMAINS[sys.argv[1]]
start = time.perf_counter()
prepare_domain(domain)
seconds = time.perf_counter() - start
opening = []
for _ in range(50):
    start = time.perf_counter()
    prepare_domain(domain)
    opening.append(time.perf_counter() - start)
print(f"{seconds:8.2f} s {sorted(opening)[25] * 1e3:8.2f} ms {before:8.0f} MiB {peak():8.0f} MiB")
"""


def preparing(folder):
    """Prepare each domain in a process of its own, as the first use does."""
    names = ["moons", "digits_m", "syn_digits", "syn_digits_m"]
    if os.environ.get("GRL_DATA"):
        names += ["mnist", "mnist_m", "usps", "gtsrb", "amazon_books", "office_caltech10_amazon"]
    print(f"\n{'prepare':32s} {'time':>10s} {'open':>11s} {'imports':>12s} {'peak':>12s}")
    for name in names:
        environment = os.environ | {"GRL_PREPARED": str(folder / "prepared")}
        command = [sys.executable, "-c", PREPARE, name]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        print(f"{name:32s} {done.stdout.strip() or done.stderr.strip().splitlines()[-1]}")


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        small_images()
        large_images(Path(folder))
        preparing(Path(folder))


if __name__ == "__main__":
    main()
