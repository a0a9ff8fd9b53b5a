"""What people see of the domains: the list, the figures of one domain, and its contact sheet."""

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from datasets.batches.splits import mean_of, standard_deviation_of
from datasets.domains import NEEDS, PAIRS, list_domains
from datasets.domains.base import SPLITS, Domain
from datasets.domains.preparing import open_if_current
from datasets.errors import DatasetError, writing
from datasets.files.folders import data_root
from datasets.files.prepared import Prepared, digest_of
from datasets.pairs import DomainPair

COLUMNS, SIDE = 16, 64  # samples of each class on a sheet; smallest side of a sample in pixels


def print_list(console: Console) -> None:
    """Print every domain with its size, licence and state, then the pairs and tables."""
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "classes", "train", "test", "sample", "MB", "licence", "state"):
        right = heading in ("classes", "train", "test", "MB")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "state")
    for domain in list_domains():
        width = 1 if len(domain.shape) == 3 else 4
        table.add_row(
            domain.name,
            str(len(domain.class_names)),
            *(f"{count:,}" for count in domain.counts),
            " × ".join(map(str, domain.shape)),
            f"{sum(domain.counts) * math.prod(domain.shape) * width / 1e6:.1f}",
            domain.card["Licence"].partition(";")[0],
            state_of(domain),
        )
    console.print(table)
    console.print(f"\n{len(PAIRS)} published pairs, and <source>_to_<target> of any two domains:")
    console.print("  " + ", ".join(name for name in PAIRS if not name.startswith(("amazon", "office"))), soft_wrap=True)
    console.print("  and all of Amazon (raw and …_msda), Office-31, Office-Caltech-10 and Office-Home among themselves")
    console.print(f"tables for prepare --table: {', '.join(NEEDS)}")


def state_of(domain: Domain) -> str:
    """Say whether a domain is prepared, and if not, what it waits for."""
    try:
        prepared = open_if_current(domain)
    except DatasetError:
        return "damaged"
    if prepared:
        here = sum(len(prepared.arrays.get(f"{split}_labels", ())) for split in SPLITS)
        return "prepared" if here == sum(domain.counts) else f"prepared, PARTIAL: {here:,} samples"
    if (missing := domain.missing(data_root())) is None:
        return "embedded" if domain.embedded else "files are there"
    return "to download" if missing.urls else "to fetch by hand"


def print_domain(console: Console, domain: Domain, prepared: Prepared, sheet: Path) -> None:
    """Print the card, counts, class histogram, mean and deviation of a domain, and write its contact sheet.

    Raises:
        DatasetError: the file is damaged, its digest is computed anew; or the sheet cannot be written.
    """
    if Image.registered_extensions().get(sheet.suffix.lower()) not in Image.SAVE:
        raise DatasetError(f"sheet must be a picture, such as sheet.png, got {sheet}")
    console.print(f"[bold]{domain.title}[/bold] ({domain.name})", highlight=False)
    for field, text in domain.card.items():
        console.print(f"{field}: {text}", highlight=False, soft_wrap=True)
    if (digest := digest_of(prepared.arrays)) != prepared.digest:
        raise DatasetError(
            f"{prepared.path} is damaged: its SHA-256 is {digest}, it was {prepared.digest} when prepared; "
            "delete it and prepare it again"
        )
    published = {None: "no digest published", digest: "as published"}.get(domain.digest, "not the published contents")
    console.print(f"SHA-256: {digest} ({published})", highlight=False, soft_wrap=True)
    for split in SPLITS:
        if f"{split}_inputs" not in prepared.arrays:
            console.print(f"{split}: none")
            continue
        inputs, labels = prepared.arrays[f"{split}_inputs"], prepared.arrays[f"{split}_labels"]
        histogram = np.bincount(labels, minlength=len(domain.class_names))
        console.print(f"{split}: {len(labels):,} samples of {' × '.join(map(str, inputs.shape[1:]))} {inputs.dtype}")
        console.print(
            "  " + ", ".join(f"{name} {count:,}" for name, count in zip(domain.class_names, histogram, strict=True)),
            soft_wrap=True,
        )
        mean, deviation = mean_of(torch.from_numpy(inputs)), standard_deviation_of(torch.from_numpy(inputs))
        if len(mean) <= 4:
            console.print("  mean " + " ".join(f"{value:.4f}" for value in mean))
            console.print("  std  " + " ".join(f"{value:.4f}" for value in deviation))
        else:
            console.print(f"  {len(mean):,} features: means {mean.min():.4f} … {mean.max():.4f}")
    drawn = draw_sheet(prepared.arrays["train_inputs"], prepared.arrays["train_labels"], len(domain.class_names))
    with writing(sheet):
        sheet.parent.mkdir(parents=True, exist_ok=True)
        drawn.save(sheet)
    console.print(f"contact sheet: {sheet}", highlight=False, soft_wrap=True)


def print_pair(console: Console, pair: DomainPair) -> None:
    """Print protocol, conversions, sizes and fingerprint of a pair."""
    console.print(f"[bold]{pair.title}[/bold] ({pair.id})", highlight=False)
    console.print(f"protocol: {pair.protocol}", highlight=False, soft_wrap=True)
    for step in pair.conversions:
        console.print(f"conversion: {step}", highlight=False, soft_wrap=True)
    console.print(f"{len(pair.source):,} source and {len(pair.target):,} target samples for training")
    console.print(f"fingerprint: {pair.fingerprint}", highlight=False, soft_wrap=True)


def draw_sheet(inputs: NDArray[np.generic], labels: NDArray[np.int64], classes: int) -> Image.Image:
    """Draw training samples: images with one row per class; points as a scatter; other features as a map of values.

    Args:
        inputs: uint8 `(N, H, W, C)` or float32 `(N, D)`.
        labels: `(N,)`.
        classes: how many.

    Returns:
        An RGB picture.
    """
    if inputs.ndim == 2 and inputs.shape[1] == 2:
        return draw_points(np.asarray(inputs, np.float64), labels)
    chosen = [np.flatnonzero(labels == label)[:COLUMNS] for label in range(classes)]
    if inputs.ndim == 2:
        rows = np.asarray(inputs[np.concatenate(chosen)], np.float64)[:, :512]
        scaled = (rows - rows.min()) / max(float(np.ptp(rows)), 1e-9)
        return Image.fromarray((np.sqrt(scaled) * 255).astype(np.uint8)).convert("RGB")
    height, width, channels = inputs.shape[1:]
    sheet = np.zeros((classes, COLUMNS, height, width, channels), np.uint8)
    for row, samples in enumerate(chosen):
        sheet[row, : len(samples)] = inputs[samples]
    picture = sheet.transpose(0, 2, 1, 3, 4).reshape(classes * height, COLUMNS * width, channels)
    image = Image.fromarray(picture[..., 0] if channels == 1 else picture[..., :3]).convert("RGB")
    scale = max(1, SIDE // height)
    shrink = max(1, height // 96)
    return image.resize((image.width * scale // shrink, image.height * scale // shrink), Image.Resampling.BOX)


def draw_points(points: NDArray[np.float64], labels: NDArray[np.int64], side: int = 480) -> Image.Image:
    """Draw points in the plane, one colour per class."""
    palette = np.array([(31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189)], np.uint8)
    low, reach = points.min(0), float(np.ptp(points, axis=0).max())
    places = ((points - low) / reach * (side - 20) + 8).astype(int)
    picture = np.full((side, side, 3), 255, np.uint8)
    for (x, y), label in zip(places, labels, strict=True):
        picture[side - y - 4 : side - y, x : x + 4] = palette[label % len(palette)]
    return Image.fromarray(picture)
