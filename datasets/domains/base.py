"""The forms of an entry: a domain (a name, a card, a function that makes arrays) and a pair of two domains."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

from datasets.errors import DatasetError
from datasets.files.originals import Original
from datasets.files.photographs import Photographs
from datasets.files.prepared import Arrays

SPLITS = ("train", "test")
NAME = re.compile(r"(?!.*_to_)[a-z0-9][a-z0-9_]{0,99}")
DIGITS = tuple("0123456789")


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One kind of data with its labels.

    Attributes:
        name: as in `python -m datasets show mnist`: lower-case letters, digits and underscores.
        title: as printed, "MNIST".
        class_names: in the order of the labels.
        shape: of one sample: `(H, W, C)` of an image, `(D,)` of features.
        counts: samples for training and for testing when complete; 0 tests means that there is no test split.
        build: makes `train_inputs`, `train_labels` (and `test_…`) from the data root. Its docstring is the card.
        photographs: lists the image files below the data root that `build` decodes, in the order of its samples; None
            where images come otherwise.
        originals: what must lie below the data root; empty for an embedded domain.
        digest: published SHA-256 of the complete arrays (`prepared.digest_of`); None where nobody could compare, and
            for photographs, whose decoded bytes are a matter of the decoder's version.
        generated: made by our own code, whose result may depend on a decoder's version; a digest that differs is then
            worth a warning, while for data of others it is an error.
        partial: fewer samples than `counts` are accepted, and said wherever the domain is shown.
        version: raised when `build` changes, so that files prepared by older code are made again.
        origin: where a domain that is not of this repository comes from: a path, or `module:function`.
        columns: names of the features, where they came as the columns of a table.

    Raises:
        DatasetError: a name, classes, a shape or counts that cannot be.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    shape: tuple[int, ...]
    counts: tuple[int, int]
    build: Callable[[Path], Arrays]
    photographs: Callable[[Path], Photographs] | None = None
    originals: tuple[Original, ...] = ()
    digest: str | None = None
    generated: bool = False
    partial: bool = False
    version: int = 1
    origin: str = ""
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name)
        if strange := [one for one in self.class_names if not isinstance(one, str)]:
            raise DatasetError(f"{self.name}: class_names must be text, got {strange[0]!r}")
        if len(self.class_names) < 2 or len(set(self.class_names)) < len(self.class_names):
            raise DatasetError(
                f"{self.name}: class_names must be at least two different names, got {', '.join(self.class_names)}"
            )
        if len(self.shape) not in (1, 3) or min(self.shape) < 1:
            raise DatasetError(f"{self.name}: shape must be (H, W, C) or (D,), each at least 1, got {self.shape}")
        if len(self.counts) != 2 or self.counts[0] < 1 or self.counts[1] < 0:
            raise DatasetError(f"{self.name}: counts must be (training >= 1, test >= 0), got {self.counts}")

    @property
    def embedded(self) -> bool:
        """True when it comes with the installed packages and needs no file."""
        return not self.originals

    @property
    def facts(self) -> dict[str, Any]:
        """What a prepared file must say of itself to be this domain's."""
        facts = {"name": self.name, "version": self.version, "class_names": list(self.class_names)}
        return facts | ({"origin": self.origin} if self.origin else {})

    @property
    def card(self) -> Mapping[str, str]:
        """The docstring of `build` by its fields: Summary, Source, Licence, Citation."""
        text = getattr(self.build, "func", self.build).__doc__ or ""  # func: of a partial
        parts = re.split(r"\n\s*(Source|Licence|Citation): ", "\n" + text)
        texts = [" ".join(part.split()) for part in parts]
        given = {"Summary": texts[0], **dict(zip(texts[1::2], texts[2::2], strict=True))}
        return dict.fromkeys(("Summary", "Source", "Licence", "Citation"), "not stated") | given

    def missing(self, root: Path) -> Original | None:
        """Return the first of its originals that is not below `root`, or None."""
        return next((original for original in self.originals if original.find(root) is None), None)


def check_name(name: str) -> None:
    """Refuse a name that could not stand in the name of a pair or of a file."""
    if not NAME.fullmatch(name):
        raise DatasetError(f"name must be 1 to 100 of a-z, 0-9 and _ without '_to_', got {name!r}")


@dataclass(frozen=True, kw_only=True)
class PairEntry:
    """Which two domains make a pair, and what is special about it.

    Attributes:
        source: name of a domain, or of several: a+b.
        target: name of a domain, or of several.
        name: of the pair, where that is not `<source>_to_<target>`.
        protocol: in one line; empty for what the splits say (`agreement.protocol_of`).
        msda: represent both by marginalised stacked denoising autoencoders fitted on their training inputs. The first
            use takes minutes and up to 2 GB of disk; `python -m datasets prepare <pair>` does it beforehand.

    Raises:
        DatasetError: a domain is source and target at once: its target samples would come with their labels.
    """

    source: str
    target: str
    name: str = ""
    protocol: str = ""
    msda: bool = False

    def __post_init__(self) -> None:
        for one in filter(None, set(self.sides[0]).intersection(self.sides[1])):
            raise DatasetError(f"pair {self.id!r} must have no domain as source and target at once, got {one!r}")

    @property
    def sides(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names of the source domains, and of the target domains."""
        return tuple(self.source.split("+")), tuple(self.target.split("+"))

    @property
    def id(self) -> str:
        """As in `load_pair("mnist_to_mnist_m")`."""
        return self.name or f"{self.source}_to_{self.target}{'_msda' if self.msda else ''}"


def pairs_among(names: Iterable[str], *, msda: bool = False) -> tuple[PairEntry, ...]:
    """Pair each of several domains with each other one, in both directions."""
    return tuple(PairEntry(source=source, target=target, msda=msda) for source, target in permutations(names, 2))
