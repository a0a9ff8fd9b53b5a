"""Frozen features as a domain: the images of another one through a backbone, once."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from datasets.backbones import Backbone
from datasets.domains import check_free, find_domain
from datasets.domains.added import KIND, describe, domain_from
from datasets.domains.base import SPLITS, Domain
from datasets.domains.preparing import check_arrays, prepare_domain
from datasets.errors import DatasetError
from datasets.files.folders import data_root
from datasets.files.photographs import squash
from datasets.files.preparation import open_current, prepare
from datasets.files.prepared import Arrays, Prepared


def add_features(domain: str, backbone: Backbone, name: str | None = None) -> Domain:
    """Make the features of a domain's images a domain; from then on `load_pair("<name>_to_<other>")` finds it.

    Where the images were decoded from files, those are read again as large as they are; else the prepared images.

    Args:
        domain: built-in, registered or added.
        backbone: as `find_backbone` builds it.
        name: of the features; default `<domain>_<backbone>`.

    Returns:
        The domain; the one that is there, if it was made from the same images in the same way.

    Raises:
        DatasetError: a name that is taken or malformed, or images that are not there or cannot be used.
    """
    original = find_domain(domain)
    name = name or f"{domain}_{backbone.name.rpartition(':')[2].lower()}"
    check_free(name)
    if name == domain:
        raise DatasetError(f"name must be another than that of the images, got {name!r}")
    if len(original.shape) != 3 or original.shape[2] not in (1, 3):
        raise DatasetError(
            f"{domain} holds samples of shape {original.shape}; a backbone takes images of 1 or 3 channels"
        )
    prepared = prepare_domain(original)
    made = {"of": domain, "images": prepared.digest, "classes": list(original.class_names), **backbone.facts}
    if current := open_current(name, {"kind": KIND, "made": made}):
        return domain_from(current.facts)
    arrays: Arrays = {}
    for split in SPLITS:
        if f"{split}_labels" in prepared.arrays:
            labels = prepared.arrays[f"{split}_labels"]
            read = reader(original, prepared, split)
            arrays[f"{split}_inputs"] = backbone.extract(len(labels), read, f"{prepared.digest} {split}")
            arrays[f"{split}_labels"] = labels
    facts = describe(name, original.class_names, arrays, f"{domain} by {backbone.name}") | {
        "made": made,
        "title": f"{original.title} ({backbone.name})",
        "card": f"Features of {original.title}, {backbone.sentence}.\n\n"
        f"Source: {domain}, SHA-256 of the images {prepared.digest}\n"
        f"Licence: {original.card['Licence']}\nCitation: {original.card['Citation']}",
    }
    found = domain_from(facts)
    check_arrays(found, arrays)
    prepare(name, facts, lambda: arrays, again=True)
    return found


def reader(domain: Domain, prepared: Prepared, split: str) -> Callable[[int], Image.Image]:
    """Open the images of one split by their number, in RGB: from the files as they lie, else from the prepared ones.

    A file counts only while it decodes to the very sample that was prepared from it.
    """
    stored = prepared.arrays[f"{split}_inputs"]
    if domain.photographs is None:
        return lambda i: Image.fromarray(stored[i].squeeze(-1) if stored.shape[3] == 1 else stored[i]).convert("RGB")
    photographs = domain.photographs(data_root())
    files = photographs.files.get(split, ())

    def read(i: int) -> Image.Image:
        image = photographs.open(files[i][0])
        if not np.array_equal(squash(image, stored.shape[1]), stored[i]):
            raise changed(str(files[i][0]))
        return image

    def changed(what: str) -> DatasetError:
        again = f"add {domain.name} again" if domain.origin else f"python -m datasets prepare {domain.name} --again"
        return DatasetError(f"{what} is not what {domain.name} was prepared from; {again}")

    if len(files) != len(stored):
        raise changed(f"the {split} split of {len(files)} files")
    return read
