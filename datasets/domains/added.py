"""Domains that `python -m datasets add` and `features` made: each is known by the header of its prepared file alone."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from datasets.domains.base import NAME, Domain
from datasets.errors import DatasetError, reading
from datasets.files.folders import prepared_root
from datasets.files.image_list import list_images
from datasets.files.photographs import Photographs
from datasets.files.preparation import ENDING, prepared_path
from datasets.files.prepared import Arrays, open_prepared

KIND = "added"


def describe(name: str, class_names: tuple[str, ...], arrays: Arrays, origin: str) -> dict[str, Any]:
    """State the facts of an added domain, from which `domain_from` makes it again."""
    return {
        "name": name,
        "kind": KIND,
        "version": 1,
        "class_names": list(class_names),
        "shape": arrays["train_inputs"].shape[1:],
        "counts": (len(arrays["train_inputs"]), len(arrays.get("test_inputs", ()))),
        "origin": origin,
    }


def domain_from(facts: Mapping[str, Any]) -> Domain:
    """Describe an added domain by the facts in its file."""

    def build(root: Path) -> Arrays:
        raise DatasetError(f"{facts['name']} was added from {facts['origin']}; add it again")

    own = f"Your own data.\n\nSource: {facts['origin']}\nLicence: yours\nCitation: none"
    build.__doc__ = facts.get("card", own)

    def photographs(root: Path) -> Photographs:
        place, tests, base, wanted = facts["files"]
        return list_images(Path(place), tests and Path(tests), base and Path(base), wanted)

    return Domain(
        name=facts["name"],
        title=facts.get("title", facts["name"]),
        class_names=tuple(facts["class_names"]),
        shape=tuple(facts["shape"]),
        counts=tuple(facts["counts"]),
        build=build,
        photographs=photographs if "files" in facts else None,
        origin=facts["origin"],
        columns=tuple(facts.get("columns", ())),
    )


def find_added(name: str) -> Domain | None:
    """Look up an added domain.

    Raises:
        DatasetError: its file is damaged.
    """
    path = prepared_path(name)
    if not NAME.fullmatch(name) or not path.is_file():
        return None
    facts = open_prepared(path).facts
    if facts.get("kind") != KIND:
        return None
    with reading(path):
        return domain_from(facts)


def list_added() -> Iterator[Domain]:
    """List the domains that were added, by name; a damaged file is not one of them."""
    for path in sorted(prepared_root().glob(f"*{ENDING}")):
        with suppress(DatasetError):
            if domain := find_added(path.stem):
                yield domain
