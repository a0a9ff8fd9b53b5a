"""What a domain is: a name, a card, and a function that turns original files into arrays."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.errors import DatasetError
from datasets.originals import Original
from datasets.prepared import Arrays

SPLITS = ("train", "test")


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One kind of data with its labels.

    Attributes:
        name: as in `python -m datasets show mnist`.
        title: as printed, "MNIST".
        class_names: in the order of the labels.
        shape: of one sample: `(H, W, C)` of an image, `(D,)` of features.
        counts: samples for training and for testing when complete; 0 tests means that there is no test split.
        build: makes `train_inputs`, `train_labels` (and `test_…`) from the data root. Its docstring is the card.
        originals: what must lie below the data root; empty for an embedded domain.
        digest: published SHA-256 of the complete arrays; None where there is none to compare with.
        generated: made by our own code, whose result may depend on a decoder's version; a digest that differs is then
            worth a warning, while for data of others it is an error.
        partial: fewer samples than `counts` are accepted, and said wherever the domain is shown.
        version: raised when `build` changes, so that files prepared by older code are made again.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    shape: tuple[int, ...]
    counts: tuple[int, int]
    build: Callable[[Path], Arrays]
    originals: tuple[Original, ...] = ()
    digest: str | None = None
    generated: bool = False
    partial: bool = False
    version: int = 1

    @property
    def embedded(self) -> bool:
        """True when it comes with the installed packages and needs no file."""
        return not self.originals

    @property
    def card(self) -> Mapping[str, str]:
        """The docstring of `build` by its fields: Summary, Source, Licence, Citation."""
        text = getattr(self.build, "func", self.build).__doc__ or ""  # func: of a partial
        parts = re.split(r"\n\s*(Source|Licence|Citation): ", "\n" + text)
        texts = [" ".join(part.split()) for part in parts]
        return {"Summary": texts[0], **dict(zip(texts[1::2], texts[2::2], strict=True))}

    def missing(self, root: Path) -> Original | None:
        """Return the first of its originals that is not below `root`, or None."""
        return next((original for original in self.originals if original.find(root) is None), None)


def check_arrays(domain: Domain, arrays: Arrays) -> None:
    """Refuse arrays that would spoil a run later.

    Raises:
        DatasetError: a shape or type other than declared, lengths that differ, a label outside the classes, a class
            without a training sample, or a feature that is not finite.
    """
    for split, complete in zip(SPLITS, domain.counts, strict=True):
        if f"{split}_inputs" not in arrays:
            continue
        name, inputs, labels = f"{domain.name} {split}", arrays[f"{split}_inputs"], arrays[f"{split}_labels"]
        if len(inputs) != complete and not (domain.partial and len(inputs) < complete):
            raise DatasetError(f"{name}: {len(inputs)} samples, expected {complete}; a file is missing or swapped")
        dtype = np.uint8 if len(domain.shape) == 3 else np.float32
        if inputs.dtype != dtype or inputs.shape[1:] != domain.shape:
            raise DatasetError(
                f"{name}: inputs must be {np.dtype(dtype)} of shape (N, {', '.join(map(str, domain.shape))}), "
                f"got {inputs.dtype} of shape {inputs.shape}"
            )
        if labels.dtype != np.int64 or labels.shape != inputs.shape[:1]:
            raise DatasetError(
                f"{name}: labels must be int64, one for each of {len(inputs)} inputs, "
                f"got {labels.dtype} of shape {labels.shape}"
            )
        outside = (labels < 0) | (labels >= len(domain.class_names))
        if outside.any():
            raise DatasetError(
                f"{name}: labels must lie in 0 … {len(domain.class_names) - 1}, "
                f"got {labels[outside][0]} at sample {outside.argmax()}"
            )
        if inputs.dtype == np.float32 and not np.isfinite(inputs).all():
            sample = int((~np.isfinite(inputs)).any(1).argmax())
            raise DatasetError(f"{name}: inputs must be finite, sample {sample} is not")
    if "train_inputs" not in arrays or not len(arrays["train_inputs"]):
        raise DatasetError(f"{domain.name}: there is no training sample")
    histogram = np.bincount(arrays["train_labels"], minlength=len(domain.class_names))
    if not histogram.all():
        empty = domain.class_names[int(histogram.argmin())]
        raise DatasetError(f"{domain.name}: class {empty!r} has no training sample")
