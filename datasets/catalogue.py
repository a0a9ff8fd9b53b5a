"""Every domain and every published pair, by name."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from datasets import mnist, mnist_m, moons, syn_digits
from datasets.domain import Domain
from datasets.errors import DatasetError

DIGITS = tuple("0123456789")
MNIST_FILES = tuple(
    f"MNIST/raw/{file}-ubyte"
    for file in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
)

DOMAINS = {
    domain.name: domain
    for domain in (
        Domain(
            name="moons",
            title="Moons",
            class_names=("upper", "lower"),
            shape=(2,),
            counts=(moons.TRAIN, moons.TEST),
            build=moons.build_source,
        ),
        Domain(
            name="moons_rotated",
            title="Moons rotated by 35°",
            class_names=("upper", "lower"),
            shape=(2,),
            counts=(moons.TRAIN, moons.TEST),
            build=moons.build_target,
        ),
        Domain(
            name="syn_digits",
            title="Syn Digits",
            class_names=DIGITS,
            shape=(28, 28, 1),
            counts=(syn_digits.TRAIN, syn_digits.TEST),
            build=syn_digits.build_syn_digits,
        ),
        Domain(
            name="syn_digits_m",
            title="Syn Digits-M",
            class_names=DIGITS,
            shape=(28, 28, 3),
            counts=(syn_digits.TRAIN, syn_digits.TEST),
            build=syn_digits.build_syn_digits_m,
        ),
        Domain(
            name="mnist",
            title="MNIST",
            class_names=DIGITS,
            shape=(28, 28, 1),
            counts=(60_000, 10_000),
            build=mnist.build_mnist,
            files=MNIST_FILES,
        ),
        Domain(
            name="mnist_m",
            title="MNIST-M",
            class_names=DIGITS,
            shape=(28, 28, 3),
            counts=(60_000, 10_000),
            build=mnist_m.build_mnist_m,
            files=(*MNIST_FILES, mnist_m.PHOTOGRAPHS),
        ),
    )
}

INDUCTIVE = (
    "inductive: labelled source training split, unlabelled target training split, accuracy on the target test split"
)


@dataclass(frozen=True, kw_only=True)
class PairEntry:
    """A published pair: which domains, and how its numbers are made."""

    source: str
    target: str
    protocol: str = INDUCTIVE


PAIRS = {
    "moons": PairEntry(source="moons", target="moons_rotated"),
    "syn_digits_to_syn_digits_m": PairEntry(source="syn_digits", target="syn_digits_m"),
    "mnist_to_mnist_m": PairEntry(source="mnist", target="mnist_m"),
}


def find_domain(name: str) -> Domain:
    """Look up a domain by its name.

    Raises:
        DatasetError: no such domain; names the nearest.
    """
    if name not in DOMAINS:
        raise DatasetError(f"domain {name!r} is unknown{nearest(name, DOMAINS)}; see: python -m datasets list")
    return DOMAINS[name]


def find_pair(name: str) -> PairEntry:
    """Look up a pair by its id: a published one, or `<source>_to_<target>` of any two domains.

    Raises:
        DatasetError: no such pair; names the nearest.
    """
    if name in PAIRS:
        return PAIRS[name]
    source, _, target = name.partition("_to_")
    if source in DOMAINS and target in DOMAINS:
        return PairEntry(source=source, target=target)
    raise DatasetError(f"pair {name!r} is unknown{nearest(name, PAIRS)}; see: python -m datasets list")


def nearest(name: str, names: Iterable[str]) -> str:
    """Suggest the name that looks most alike, as the middle of a sentence, or nothing."""
    close = difflib.get_close_matches(name, names, n=1)
    return f", did you mean {close[0]!r}?" if close else ""
