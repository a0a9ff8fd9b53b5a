"""Amazon product reviews as word counts: four kinds of product, good or bad."""

from functools import partial
from pathlib import Path

import numpy as np

from datasets.domains.base import Domain, pairs_among
from datasets.errors import DatasetError
from datasets.files.originals import Original
from datasets.files.prepared import Arrays
from datasets.files.svmlight import read_svmlight

FOLDER, FEATURES, TRAIN = "amazon_reviews", 5_000, 2_000
TESTS = {"books": 4_465, "dvd": 3_586, "electronics": 5_681, "kitchen": 5_945}
DIGESTS = {
    "books": "265319c29920fca10d651dd8e1254a49f975f380b17336f6eb3b028db393eaba",
    "dvd": "36baa0b8678e536f85dac36724f8733a19c84d17d38ed1e836bdf8fde3e4510c",
    "electronics": "5397baad31c1133b877847068229b87abae6d8164284e9e5cfe6ffda347732d2",
    "kitchen": "58cbdaab84539a81e6e5927670878b9217f636c62d671e90fa1cdcc6b0615661",
}
COMMIT = "74eec5e0ae06bd6614bce048abba492c16a633e3"
CHECKSUMS = {
    "books_train": "317f9a2ec34b81de770b63a84d8c5cc2dc16bd0be6e079d2ff5b5bad5213ea19",
    "books_test": "fe4605c7dcf0e0a9410fd2a32f247caaf9abb352cc6e4c3e0f400853163ad9c4",
    "dvd_train": "95f602aa08bf6b55758f7b0b18df3882fe30acb11987ee60b6b4bb3c44cba733",
    "dvd_test": "4fe1b1a15010f78d8d0c49fe362d35fd4677463a45f1ac02a9f410ae1e638060",
    "electronics_train": "7d0061f03ff3827e4f8036b051b5e5828fddc0cd115aa5b212cd28d624dc14e4",
    "electronics_test": "641783bc941839c3a111d3488a1b7e3bd820a61ec14a129e7429b47703aa961d",
    "kitchen_train": "a70b5ebfe1413e0e16280360905f5c3b64389c435cd20c0165dc9d7f293b31b5",
    "kitchen_test": "e1502b97a824eb12314be4447394fa736fecb781c0724e6529cd6733ac7ff6d8",
}


def originals_of(product: str) -> tuple[Original, ...]:
    """List the two files of one kind of product."""
    repository = "https://raw.githubusercontent.com/GRAAL-Research/domain_adversarial_neural_network"
    return tuple(
        Original(
            path=f"{FOLDER}/{name}.svmlight",
            urls=(f"{repository}/{COMMIT}/data/{name}.svmlight",),
            checksum=f"sha256:{CHECKSUMS[name]}",
        )
        for name in (f"{product}_train", f"{product}_test")
    )


def build_amazon(root: Path, product: str) -> Arrays:
    """Product reviews as counts of 5,000 words and word pairs; label 1 for four or five stars, 0 for up to three.

    The published split: 2,000 reviews for training, the others (3,586 to 5,945) for testing. Raw counts up to 84, as
    the shallow experiments of the paper use them.

    Source: the authors' repository GRAAL-Research/domain_adversarial_neural_network, folder data
    Licence: research use
    Citation: Blitzer, Dredze and Pereira, "Biographies, Bollywood, Boom-boxes and Blenders", ACL (2007); Chen, Xu,
        Weinberger and Sha, "Marginalized Denoising Autoencoders for Domain Adaptation", ICML (2012)
    """
    arrays: Arrays = {}
    for split in ("train", "test"):
        path = root / FOLDER / f"{product}_{split}.svmlight"
        arrays[f"{split}_inputs"], signs = read_svmlight(path, FEATURES)
        if set(np.unique(signs)) != {-1, 1}:
            raise DatasetError(f"{path}: labels must be -1 and 1, got {', '.join(map(str, np.unique(signs)[:5]))}")
        arrays[f"{split}_labels"] = (signs > 0).astype(np.int64)
    return arrays


DOMAINS = tuple(
    Domain(
        name=f"amazon_{product}",
        title=f"Amazon {product}",
        class_names=("negative", "positive"),
        shape=(FEATURES,),
        counts=(TRAIN, tests),
        build=partial(build_amazon, product=product),
        originals=originals_of(product),
        digest=DIGESTS[product],
    )
    for product, tests in TESTS.items()
)
PAIRS = tuple(pair for msda in (False, True) for pair in pairs_among((domain.name for domain in DOMAINS), msda=msda))
