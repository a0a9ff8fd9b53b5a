"""What is measured on networks under training. Accuracies on the target test split alone see its labels.

Everything is computed in float32, for all members of a program at once, on fixed samples: the same at every evaluation
of every run, so that scores compare.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets import DomainPair, Labelled, Unlabelled, one_pass
from datasets.batches.order import Order
from experiments.methods import Reads, divide_target
from experiments.record.names import (
    DOMAIN_LABELS,
    FEATURES,
    LABELS,
    SOURCE_ACCURACY,
    SOURCE_LABELS,
    SOURCE_LOGITS,
    TARGET_ACCURACY,
    TARGET_LOGITS,
)

EVALUATION_BATCH = 250  # activations that the allocator keeps: twice as fast as 1,000 here
UNLABELLED_SAMPLE = 2000  # target training inputs whose logits are kept
HELD_OUT_SAMPLE = 1000  # source test samples, at most half of them, that choose and are not reported
FEATURE_SAMPLE = 500  # test inputs per domain
FEATURE_DIMENSIONS = 32
FEATURES_WITHIN = 6e4  # what float16 can hold

Predict = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Inputs (N, ...) to features (M, N, F) and label logits (M, N, C) of M members, in evaluation mode."""


class Evaluation(NamedTuple):
    """One evaluation of one member.

    Attributes:
        scores: Test accuracies of both domains, in [0, 1]; the source's without the held-out samples.
        seen: What validators read, by the names of `record.names`: arrays of this step.
    """

    scores: dict[str, float]
    seen: dict[str, np.ndarray]


class Samples:
    """The fixed samples of one pair that every evaluation of a method that reads so looks at."""

    def __init__(self, pair: DomainPair, mean: Tensor, reads: Reads = "source and target", crop: int | None = None):
        self.mean, self.crop = mean, crop
        source_test, target_test = pair.evaluation.source_test, pair.evaluation.target_test
        if reads == "target labels":
            _, target_test = divide_target(pair)
        # A source without a test split is measured on what it was trained on: nothing of that is held out.
        held_out = min(HELD_OUT_SAMPLE, len(source_test) // 2) if source_test.name != pair.source.name else 0
        order = Order(0, f"{source_test.name} held out", len(source_test)).take(len(source_test))
        self.held_out = choose(source_test, order[:held_out])
        self.source_test = choose(source_test, order[held_out:].sort().values) if held_out else source_test
        if pair.evaluation.source_validation:  # the pair's own: the test split is reported whole
            self.held_out, self.source_test = pair.evaluation.source_validation, source_test
        self.target_test = target_test
        self.unlabelled = sample(pair.target, UNLABELLED_SAMPLE)
        self.shown = [sample(split, FEATURE_SAMPLE) for split in (source_test, target_test)]

    def batches(self, split: Labelled) -> Any:
        """One pass over a split."""
        return one_pass(split, EVALUATION_BATCH, mean=self.mean, crop=self.crop, device=self.mean.device)


def choose(split: Labelled, index: Tensor) -> Labelled:
    """The samples of `split` at `index`."""
    return Labelled(name=split.name, inputs=split.inputs[index], labels=split.labels[index])


def sample(split: Labelled | Unlabelled, count: int) -> Labelled:
    """A random sample of `split`, the same for every run; labels of an unlabelled one are all 0."""
    labels = split.labels if isinstance(split, Labelled) else torch.zeros(len(split), dtype=torch.int64)
    index = Order(0, split.name, len(split)).take(min(count, len(split)))
    return Labelled(name=split.name, inputs=split.inputs[index], labels=labels[index])


@torch.inference_mode()
def evaluate(predict: Predict, samples: Samples) -> list[Evaluation]:
    """Measure all members of a program."""
    source_accuracy = _accuracies(predict, samples, samples.source_test)
    target_accuracy = _accuracies(predict, samples, samples.target_test)
    _, target_logits = _collect(predict, samples, samples.unlabelled)
    seen: dict[str, np.ndarray] = {TARGET_LOGITS: target_logits}
    if len(samples.held_out):
        seen[SOURCE_LOGITS] = _collect(predict, samples, samples.held_out)[1]
    features = np.concatenate([_collect(predict, samples, split)[0] for split in samples.shown], 1)
    fixed = {
        LABELS: np.concatenate([split.labels.numpy() for split in samples.shown]),
        DOMAIN_LABELS: np.repeat(np.arange(2), [len(split) for split in samples.shown]),
    }
    if len(samples.held_out):
        fixed[SOURCE_LABELS] = samples.held_out.labels.numpy()
    return [
        Evaluation(
            {SOURCE_ACCURACY: source, TARGET_ACCURACY: target},
            {name: values[member] for name, values in seen.items()} | {FEATURES: project(features[member])} | fixed,
        )
        for member, (source, target) in enumerate(zip(source_accuracy, target_accuracy, strict=True))
    ]


def _accuracies(predict: Predict, samples: Samples, split: Labelled) -> list[float]:
    # Share of each member's largest label logits that are right.
    right: Any = 0
    for batch in samples.batches(split):
        right = right + (predict(batch.inputs)[1].argmax(2) == batch.labels).sum(1)
    return [count / len(split) for count in right.tolist()]


def _collect(predict: Predict, samples: Samples, split: Labelled) -> tuple[np.ndarray, np.ndarray]:
    # Features (M, N, F) and label logits (M, N, C).
    parts = [predict(batch.inputs) for batch in samples.batches(split)]
    features, logits = (torch.cat([part[which] for part in parts], 1).float().cpu().numpy() for which in (0, 1))
    return features, logits


def project(features: np.ndarray) -> np.ndarray:
    """The leading principal components of (N, F) features, at most 32, the largest first: (N, min(F, 32)).

    As float16, whose three digits are enough for a probe and a figure; on another scale where its range is not.
    """
    components = min(FEATURE_DIMENSIONS, *features.shape)
    if not np.isfinite(features).all():
        return np.full((len(features), components), np.nan, np.float16)
    from sklearn.utils.extmath import randomized_svd  # a second; not before the first step

    centred = features - features.mean(0, dtype=np.float64)
    scale = min(1.0, FEATURES_WITHIN / max(np.linalg.norm(centred, axis=1).max(), 1.0))
    left, values, _ = randomized_svd((scale * centred).astype(np.float32), components, random_state=0)
    return np.ascontiguousarray(left * values, dtype=np.float16)
