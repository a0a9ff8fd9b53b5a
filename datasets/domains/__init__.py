"""The catalogue: every domain and every published pair by name. Each file beside this one is an entry, or helps one."""

import difflib
from collections.abc import Iterable
from dataclasses import replace

from datasets.domains import (
    amazon,
    digits,
    mnist,
    mnist_m,
    mnist_m_original,
    moons,
    office,
    office_home,
    signs,
    svhn,
    syn_digits,
    syn_numbers,
    usps,
)
from datasets.domains.added import find_added, list_added
from datasets.domains.base import Domain, PairEntry, check_name
from datasets.errors import DatasetError

FILES = (
    moons,
    digits,
    syn_digits,
    syn_numbers,
    mnist,
    mnist_m,
    mnist_m_original,
    usps,
    svhn,
    signs,
    amazon,
    office,
    office_home,
)
DOMAINS = {domain.name: domain for file in FILES for domain in file.DOMAINS}
PAIRS = {pair.id: pair for file in FILES for pair in file.PAIRS}
OURS = frozenset((*DOMAINS, *PAIRS))

# What each table of the literature (or the demo) needs.
NEEDS = {
    "demo": ("moons", "syn_digits_to_syn_digits_m"),
    "digits": ("mnist_to_mnist_m", "syn_numbers_to_svhn", "svhn_to_mnist", "syn_signs_to_gtsrb"),
    "amazon": tuple(name for name, pair in PAIRS.items() if name.startswith("amazon") and not pair.msda),
    "office31": (
        "office31_amazon_to_office31_webcam",
        "office31_dslr_to_office31_webcam",
        "office31_webcam_to_office31_dslr",
    ),
    "office31_decaf": tuple(domain.name for domain in office.OFFICE31_DECAF),
    "office_caltech10": tuple(name for name in PAIRS if name.startswith("office_caltech10")),
    "office_caltech10_deep": tuple(domain.name for domain in office.DEEP),
    "office_caltech10_surf": tuple(domain.name for domain in office.FEATURES if "zscore" in domain.name),
    "office_home": tuple(domain.name for domain in office_home.DOMAINS),
}


def register(entry: Domain | PairEntry) -> None:
    """Make a domain or a pair of a module outside this repository known by its name, in this process.

    Called where that module is imported. Every process that imports it knows the name, and importing it once more
    replaces the entry by the same. `<source>_to_<target>` of registered domains is a pair without being registered.

    Args:
        entry: what to make known. Raise the `version` of a domain whenever its `build` would give other samples.

    Raises:
        DatasetError: the name belongs to this repository or to a domain that was added.
    """
    name = entry.id if isinstance(entry, PairEntry) else entry.name
    if name in OURS:
        raise DatasetError(f"name {name!r} belongs to this repository; choose another")
    if isinstance(entry, PairEntry):
        PAIRS[name] = entry
        return
    if added := find_added(name):
        raise DatasetError(f"name {name!r} belongs to a domain that was added from {added.origin}; choose another")
    build = getattr(entry.build, "func", entry.build)  # func: of a partial
    DOMAINS[name] = replace(entry, origin=f"{build.__module__}:{build.__qualname__}")


def check_free(name: str) -> None:
    """Refuse a name for a domain to be added that is malformed, or belongs to one that was not added."""
    check_name(name)
    if name in DOMAINS:
        origin = DOMAINS[name].origin or "this repository"
        raise DatasetError(f"name {name!r} belongs to a domain of {origin}; choose another")


def list_domains() -> list[Domain]:
    """List all domains: built-in, registered, added."""
    return [*DOMAINS.values(), *list_added()]


def find_domain(name: str) -> Domain:
    """Look up a domain by its name: built-in, registered or added.

    Raises:
        DatasetError: no such domain; names the nearest.
    """
    if domain := DOMAINS.get(name) or find_added(name):
        return domain
    known = (domain.name for domain in list_domains())
    raise DatasetError(f"domain {name!r} is unknown{nearest(name, known)}; see: python -m datasets list")


def find_pair(name: str) -> PairEntry:
    """Look up a pair by its id: a published or registered one, or `<source>_to_<target>` of any domains.

    Either side may be several domains: `a+b_to_c`.

    Raises:
        DatasetError: no such pair; names the nearest. Or a domain is named twice, on one side or on both.
    """
    if name in PAIRS:
        return PAIRS[name]
    source, to, target = name.partition("_to_")
    if not to or not any(one in DOMAINS or find_added(one) for side in (source, target) for one in side.split("+")):
        raise DatasetError(f"pair {name!r} is unknown{nearest(name, PAIRS)}; see: python -m datasets list")
    entry = PairEntry(source=source, target=target)
    for side in entry.sides:
        for one in side:
            find_domain(one)
            if side.count(one) > 1:
                raise DatasetError(
                    f"pair {name!r} must name each domain of a side once, got {one!r} {side.count(one)} times"
                )
    return entry


def nearest(name: str, names: Iterable[str]) -> str:
    """Suggest the name that looks most alike, as the middle of a sentence, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
