"""Figure of one pair: some target test images, and what a network takes them for before and after adaptation."""

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure

from experiments.record import names
from experiments.validators.base import softmax
from results.drawing.base import GREY, Material, styled
from results.drawing.features import read_chosen
from results.words import fraction

COLUMNS = 8
RIGHT, WRONG = "#00734f", "#b04a00"  # told apart by their marks, too


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """The same images under source_only and the first other method, at the reported step; pairs of images alone."""
    for place, title, part in material.by_recipe():
        samples = read_chosen(part)
        if samples and all(names.SHOWN_IMAGES in sample for sample in samples.values()):
            yield f"{place} samples", draw_samples(samples, title)


def draw_samples(samples: Mapping[str, Mapping[str, np.ndarray]], title: str) -> Figure:
    """Images with their true class, and below each its predicted class and probability, a line a run.

    Args:
        samples: heading -> shown_images (s, H, W, C), shown_labels (s,) and shown_logits (s, C).
        title: the pair as printed.
    """
    first = next(iter(samples.values()))
    images, labels = first[names.SHOWN_IMAGES], first[names.SHOWN_LABELS]
    rows = -(-len(images) // COLUMNS)
    with styled():
        figure = Figure(figsize=(9.6, 1.0 + rows * (1.35 + 0.22 * len(samples))), layout="constrained")
        panels = figure.subplots(rows, COLUMNS, squeeze=False)
        for axis in panels.flat:
            axis.set_axis_off()
        for place, (axis, image, label) in enumerate(zip(panels.flat, images, labels, strict=False)):
            axis.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=255)
            axis.set_title(f"is {label}", fontsize=9, pad=2)
            for line, sample in enumerate(samples.values()):
                probabilities = softmax(sample[names.SHOWN_LOGITS][place : place + 1])[0]
                guess = int(probabilities.argmax())
                is_right = guess == label
                text = f"{'ab'[line]} {'✓' if is_right else '✗'} {guess} ({fraction(probabilities[guess])[:-1]})"
                axis.text(0.5, -0.04 - 0.19 * line, text, transform=axis.transAxes, ha="center", va="top", fontsize=9,
                          color=RIGHT if is_right else WRONG)  # fmt: skip
        figure.suptitle(f"{title}: the first samples of a fixed draw from the target test split\n", x=0.01, ha="left",
                        fontsize=12)  # fmt: skip
        headings = "; ".join(f"{'ab'[line]} {heading}" for line, heading in enumerate(samples))
        figure.text(0.01, 0.99 - 0.3 / figure.get_figheight(), f"{headings}; ✗ wrong; (probability)", fontsize=9.5,
                    color=GREY, va="top")  # fmt: skip
    return figure
