"""Domains and pairs of domains: prepared once, served fast, target labels locked away.

from datasets import Batches, load_pair, one_pass

pair = load_pair("mnist_to_mnist_m")
batches = Batches(pair.source, 64, seed=0, mean=pair.source.mean())
batch = next(batches)                        # batch.inputs (64, 3, 28, 28), batch.labels (64,)
"""

from datasets.augment import Augment
from datasets.batches import Batch, Batches, LabelledBatch, one_pass
from datasets.errors import DatasetError
from datasets.joined import JoinedBatch, JoinedBatches
from datasets.own import add_domain
from datasets.pairs import DomainPair, Evaluation, load_pair
from datasets.prefetched import Prefetched
from datasets.splits import Labelled, Unlabelled
from datasets.stacked import StackedBatches

__all__ = [
    "Augment",
    "Batch",
    "Batches",
    "DatasetError",
    "DomainPair",
    "Evaluation",
    "JoinedBatch",
    "JoinedBatches",
    "Labelled",
    "LabelledBatch",
    "Prefetched",
    "StackedBatches",
    "Unlabelled",
    "add_domain",
    "load_pair",
    "one_pass",
]
