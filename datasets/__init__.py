"""Domains and pairs of domains: prepared once, served fast, target labels locked away.

from datasets import Batches, load_pair, one_pass

pair = load_pair("mnist_to_mnist_m")
batches = Batches(pair.source, 64, seed=0, mean=pair.source.mean())
batch = next(batches)                        # batch.inputs (64, 3, 28, 28), batch.labels (64,)
"""

from datasets.agreement import outline_of, pair_fingerprint
from datasets.backbones import Backbone, find_backbone
from datasets.batches.augment import Augment
from datasets.batches.batches import Batch, Batches, LabelledBatch, one_pass
from datasets.batches.splits import Labelled, Split, Unlabelled, by_domain
from datasets.batches.stacked import StackedBatches
from datasets.domains import register
from datasets.domains.base import Domain, PairEntry
from datasets.errors import DatasetError
from datasets.features import add_features
from datasets.files.samples import Layout
from datasets.own import add_domain
from datasets.pairs import DomainPair, Evaluation, hold_out, load_pair

__all__ = [
    "Augment",
    "Backbone",
    "Batch",
    "Batches",
    "DatasetError",
    "Domain",
    "DomainPair",
    "Evaluation",
    "Labelled",
    "LabelledBatch",
    "Layout",
    "PairEntry",
    "Split",
    "StackedBatches",
    "Unlabelled",
    "add_domain",
    "add_features",
    "by_domain",
    "find_backbone",
    "hold_out",
    "load_pair",
    "one_pass",
    "outline_of",
    "pair_fingerprint",
    "register",
]
