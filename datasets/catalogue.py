"""Every domain, every published pair and every table, by name."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from datasets import amazon, digits, mnist, mnist_m, moons, office, own, signs, syn_digits, syn_numbers
from datasets.digests import DIGESTS
from datasets.domain import Domain
from datasets.errors import DatasetError

DIGITS = tuple("0123456789")
REVIEWS = ("negative", "positive")


def list_domains() -> list[Domain]:
    """Build the list of all domains that this repository knows by itself."""
    grey, colour = (28, 28, 1), (28, 28, 3)
    moon = {"class_names": ("upper", "lower"), "shape": (2,), "counts": (moons.TRAIN, moons.TEST), "generated": True}
    syn = {"class_names": DIGITS, "counts": (syn_digits.TRAIN, syn_digits.TEST), "generated": True}
    small = {"class_names": DIGITS, "generated": True}
    blended = {
        "class_names": DIGITS,
        "shape": colour,
        "counts": (60_000, 10_000),
        "originals": (*mnist.MNIST, mnist_m.PHOTOGRAPHS),
        "generated": True,
    }
    domains = [
        Domain(name="moons", title="Moons", build=moons.build_source, **moon),
        Domain(name="moons_rotated", title="Moons rotated by 35°", build=moons.build_target, **moon),
        Domain(name="digits", title="Digits", shape=grey, build=digits.build_digits, counts=(1_297, 500), **small),
        Domain(
            name="digits_m",
            title="Digits-M",
            shape=colour,
            build=digits.build_digits_m,
            counts=(12_970, 5_000),
            **small,
        ),
        Domain(name="syn_digits", title="Syn Digits", shape=grey, build=syn_digits.build_syn_digits, **syn),
        Domain(name="syn_digits_m", title="Syn Digits-M", shape=colour, build=syn_digits.build_syn_digits_m, **syn),
        Domain(
            name="syn_numbers",
            title="Syn Numbers",
            class_names=DIGITS,
            shape=(32, 32, 3),
            counts=(syn_numbers.TRAIN, syn_numbers.TEST),
            build=syn_numbers.build_syn_numbers,
            generated=True,
        ),
        Domain(
            name="mnist",
            title="MNIST",
            class_names=DIGITS,
            shape=grey,
            counts=(60_000, 10_000),
            build=mnist.build_mnist,
            originals=mnist.MNIST,
        ),
        Domain(name="mnist_m", title="MNIST-M", build=mnist_m.build_mnist_m, **blended),
        Domain(
            name="mnist_m_binarised",
            title="MNIST-M (binarised digits)",
            build=partial(mnist_m.build_mnist_m, binarise=True),
            **blended,
        ),
        Domain(
            name="usps",
            title="USPS",
            class_names=DIGITS,
            shape=(16, 16, 1),
            counts=(7_291, 2_007),
            build=mnist.build_usps,
            originals=mnist.USPS,
        ),
        Domain(
            name="svhn",
            title="SVHN",
            class_names=DIGITS,
            shape=(32, 32, 3),
            counts=(73_257, 26_032),
            build=mnist.build_svhn,
            originals=mnist.SVHN,
        ),
        Domain(
            name="syn_signs",
            title="Syn Signs",
            class_names=signs.SIGNS,
            shape=(signs.SIZE, signs.SIZE, 3),
            counts=(signs.SYN_TRAIN, signs.SYN_TEST),
            build=signs.build_syn_signs,
            originals=(signs.SYN_SIGNS,),
            partial=True,
        ),
        Domain(
            name="gtsrb",
            title="GTSRB",
            class_names=signs.SIGNS,
            shape=(signs.SIZE, signs.SIZE, 3),
            counts=(signs.GTSRB_TRAIN, signs.GTSRB_TEST),
            build=signs.build_gtsrb,
            originals=(signs.GTSRB,),
            partial=True,
        ),
    ]
    domains += [
        Domain(
            name=f"amazon_{product}",
            title=f"Amazon {product}",
            class_names=REVIEWS,
            shape=(amazon.FEATURES,),
            counts=(amazon.TRAIN, tests),
            build=partial(amazon.build_amazon, product=product),
            originals=amazon.originals_of(product),
        )
        for product, tests in amazon.TESTS.items()
    ]
    domains += [
        Domain(
            name=f"office31_{part}",
            title=f"Office-31 {part}",
            class_names=office.OFFICE31_CLASSES,
            shape=(office.SIZE, office.SIZE, 3),
            counts=(count, 0),
            build=partial(office.build_office31, part=part),
            originals=(office.office31_original(part),),
        )
        for part, count in office.OFFICE31_COUNTS.items()
    ]
    domains += [
        Domain(
            name=f"office_caltech10_{part}",
            title=f"Office-Caltech-10 {part}",
            class_names=office.CALTECH10_CLASSES,
            shape=(office.SIZE, office.SIZE, 3),
            counts=(count, 0),
            build=partial(office.build_caltech10, part=part),
            originals=(office.caltech10_original(part),),
        )
        for part, count in office.CALTECH10_COUNTS.items()
    ]
    domains += [
        Domain(
            name=f"office_caltech10_{part}_{features}",
            title=f"Office-Caltech-10 {part} ({features})",
            class_names=office.CALTECH10_CLASSES,
            shape=(length,),
            counts=(count, 0),
            build=partial(office.build_caltech10_features, part=part, features=features),
            originals=(office.caltech10_matrix(part, features),),
        )
        for features, (_, length) in office.CALTECH10_FEATURES.items()
        for part, count in office.CALTECH10_COUNTS.items()
        if (part, features) != ("caltech10", "googlenet")  # never published
    ]
    return domains


DOMAINS = {domain.name: replace(domain, digest=DIGESTS.get(domain.name)) for domain in list_domains()}


@dataclass(frozen=True, kw_only=True)
class PairEntry:
    """Which two domains make a pair, and what is special about it.

    Attributes:
        source: name of a domain.
        target: name of a domain.
        protocol: in one line; empty for what the splits say (`pairs.protocol_of`).
        msda: represent both by marginalised stacked denoising autoencoders fitted on their training inputs. The first
            use takes minutes and up to 2 GB of disk; `python -m datasets prepare <pair>` does it beforehand.
    """

    source: str
    target: str
    protocol: str = ""
    msda: bool = False


def list_pairs() -> dict[str, PairEntry]:
    """Build the published pairs. Any other `<source>_to_<target>` is a pair too."""
    pairs = {
        "moons": PairEntry(source="moons", target="moons_rotated"),
        "syn_signs_to_gtsrb": PairEntry(
            source="syn_signs",
            target="gtsrb",
            protocol="inductive: labelled source training split, 31,367 random GTSRB training images without labels, "
            "accuracy on the other 7,842",
        ),
    }
    plain = (
        *("digits_to_digits_m", "syn_digits_to_syn_digits_m", "mnist_to_mnist_m", "mnist_to_mnist_m_binarised"),
        *("syn_numbers_to_svhn", "svhn_to_mnist", "mnist_to_svhn", "mnist_to_usps", "usps_to_mnist"),
        *(f"amazon_{a}_to_amazon_{b}" for a in amazon.TESTS for b in amazon.TESTS if a != b),
        *(f"office31_{a}_to_office31_{b}" for a in office.OFFICE31_COUNTS for b in office.OFFICE31_COUNTS if a != b),
        *(
            f"office_caltech10_{a}_to_office_caltech10_{b}"
            for a in office.CALTECH10_COUNTS
            for b in office.CALTECH10_COUNTS
            if a != b
        ),
    )
    for name in plain:
        source, _, target = name.partition("_to_")
        pairs[name] = PairEntry(source=source, target=target)
        if name.startswith("amazon"):
            pairs[f"{name}_msda"] = PairEntry(source=source, target=target, msda=True)
    return pairs


PAIRS = list_pairs()

# What each table of the literature (or the demo) needs.
TABLES = {
    "demo": ("moons", "syn_digits_to_syn_digits_m"),
    "digits": ("mnist_to_mnist_m", "syn_numbers_to_svhn", "svhn_to_mnist", "syn_signs_to_gtsrb"),
    "amazon": tuple(name for name, entry in PAIRS.items() if name.startswith("amazon") and not entry.msda),
    "office31": (
        "office31_amazon_to_office31_webcam",
        "office31_dslr_to_office31_webcam",
        "office31_webcam_to_office31_dslr",
    ),
    "office_caltech10": tuple(name for name in PAIRS if name.startswith("office_caltech10")),
}


def find_domain(name: str) -> Domain:
    """Look up a domain by its name: a built-in one, or one that was added.

    Raises:
        DatasetError: no such domain; names the nearest.
    """
    if name in DOMAINS:
        return DOMAINS[name]
    if (added := own.find_added(name)) is not None:
        return added
    known = [*DOMAINS, *own.list_added()]
    raise DatasetError(f"domain {name!r} is unknown{nearest(name, known)}; see: python -m datasets list")


def find_pair(name: str) -> PairEntry:
    """Look up a pair by its id: a published one, or `<source>_to_<target>` of any two domains.

    Raises:
        DatasetError: no such pair; names the nearest.
    """
    if name in PAIRS:
        return PAIRS[name]
    source, to, target = name.partition("_to_")
    if not to:
        raise DatasetError(f"pair {name!r} is unknown{nearest(name, PAIRS)}; see: python -m datasets list")
    known = [*DOMAINS, *own.list_added()]
    if source not in known and target not in known:
        raise DatasetError(f"pair {name!r} is unknown{nearest(name, PAIRS)}; see: python -m datasets list")
    return PairEntry(source=find_domain(source).name, target=find_domain(target).name)


def nearest(name: str, names: Iterable[str]) -> str:
    """Suggest the name that looks most alike, as the middle of a sentence, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
