"""What is measured on networks under training, and what is kept of it for whoever chooses among checkpoints.

Everything is computed in float32, for all members of a program at once, on fixed samples: the same at every evaluation
of every run, so that scores compare. Target labels are read here alone, for accuracies, counts of errors and figures;
what validators may look at is computed without them.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets import DomainPair, Labelled, Split, one_pass
from datasets.batches.order import Order
from experiments.methods import Reads, divide_target
from experiments.networks import Networks
from experiments.record import names

EVALUATION_BATCH = 250  # activations that the allocator keeps: twice as fast as 1,000 here
UNLABELLED_SAMPLE = 2000  # target training inputs whose logits are kept
HELD_OUT_SAMPLE = 1000  # test samples, at most half of them, that choose and are not reported
FEATURE_SAMPLE = 500  # test inputs per domain, and source training inputs
CLUSTERED_SAMPLE = 1000  # target training inputs whose features are kept
SHOWN_SAMPLE, SHOWN_SIDE = 16, 64  # target test samples for a figure; pixels at most
FEATURE_DIMENSIONS = 32
FEW_FEATURES = 256  # up to here the exact components cost less than the randomised ones
WITHIN = 6e4  # what float16 can hold
MIXED = 0.55  # share of the first of two inputs, whose class is then the larger one (Hu et al. 2023)

Predict = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Inputs (N, ...) to features (M, N, F) and label logits (M, N, C) of M members, in evaluation mode."""

Taken = dict[tuple[Any, ...], tuple[Tensor, ...]]
"""Inputs by what they are and were taken of, and behind them the tensors that they were taken of."""


class Evaluation(NamedTuple):
    """One evaluation of one member.

    Attributes:
        scores: Accuracies in [0, 1] on the test splits, the source's without the held-out samples, and those that
            `target_oracle` chooses and reports by.
        seen: What validators and figures read, by the names of `record.names`: arrays of this step.
    """

    scores: dict[str, float]
    seen: dict[str, np.ndarray]


class Samples:
    """The fixed samples of one pair that every evaluation of a method that reads so looks at.

    Attributes:
        source_test, target_test: Test splits; where a domain has none, all its samples.
        held_out, reported: Places in the source's: those that choose, and the others.
        unlabelled: Of the target's training inputs.
        mixed: Row i is mixed of rows i and i + N // 2 of `unlabelled`.
        training: Of the source's training inputs.
        validation_labels: Of `unlabelled`, opened by the oracle alone; None where those samples may not choose.
        validation: Places in the target's test split that choose in their stead; none where they may.
    """

    def __init__(
        self,
        pair: DomainPair,
        mean: Tensor,
        reads: Reads = "source and target",
        crop: int | None = None,
        taken: Taken | None = None,
    ):
        """Take the samples.

        Args:
            pair: Whose they are.
            mean: What the network subtracts from them.
            reads: As of the method.
            crop: As of the recipe.
            taken: Of other pairs, which may be the same inputs with other labels, as where many runs turn a pair
                round: the inputs of these are kept once. It is added to.
        """
        taken = {} if taken is None else taken

        def share(made: Labelled, *of: Tensor) -> Labelled:
            inputs, *_ = taken.setdefault((made.name, len(made), *map(id, of)), (made.inputs, *of))
            return replace(made, inputs=inputs)

        self.mean, self.crop = mean, crop
        self.source_test, self.target_test = pair.evaluation.source_test, pair.evaluation.target_test
        if reads == "target labels":
            _, self.target_test = divide_target(pair)
        # A source without a test split is measured on what it was trained on: nothing of that is held out.
        self.held_out, self.reported = divide(self.source_test, self.source_test.name != pair.source.name)
        if (validation := pair.evaluation.source_validation) is not None:  # held out of the training split instead
            self.held_out, self.reported = (torch.arange(len(validation) + len(self.source_test))).tensor_split(
                [len(validation)]
            )
            both = validation.inputs, self.source_test.inputs
            self.source_test = share(join(validation, self.source_test), *both)
        self.unlabelled = share(sample(pair.target, UNLABELLED_SAMPLE), pair.target.inputs)
        self.mixed = share(mix(self.unlabelled), self.unlabelled.inputs)
        self.training = share(sample(pair.source, FEATURE_SAMPLE), pair.source.inputs)
        self.tested = [places(split, FEATURE_SAMPLE) for split in (self.source_test, self.target_test)]
        self.shown = self.tested[1][:SHOWN_SAMPLE]
        # The oracle chooses by the labels of training samples, unless they were trained on or are reported themselves.
        known = pair.reveal_target_labels(reader="oracle")
        may_choose = reads != "target labels" and self.target_test.name != known.name
        self.validation_labels = known.labels[places(known, UNLABELLED_SAMPLE)].numpy() if may_choose else None
        self.validation, self.rest = divide(self.target_test, not may_choose)

    def batches(self, split: Labelled) -> Any:
        """One pass over a split."""
        return one_pass(split, EVALUATION_BATCH, mean=self.mean, crop=self.crop, device=self.mean.device)


def divide(split: Labelled, holds_out: bool) -> tuple[Tensor, Tensor]:
    """Places of at most 1,000 samples of a split, or half of it, and those of the others in order; none and all."""
    held_out = min(HELD_OUT_SAMPLE, len(split) // 2) if holds_out else 0
    order = Order(0, f"{split.name} held out", len(split)).take(len(split))
    return order[:held_out], order[held_out:].sort().values


def places(split: Split, count: int) -> Tensor:
    """Places of a random sample, the same for every run."""
    return Order(0, split.name, len(split)).take(min(count, len(split)))


def sample(split: Split, count: int) -> Labelled:
    """A random sample of `split`, the same for every run; labels of an unlabelled one are all 0."""
    return with_labels(split.choose(places(split, count)))


def with_labels(split: Split) -> Labelled:
    """The same samples as `one_pass` takes them; labels of an unlabelled split are all 0."""
    if isinstance(split, Labelled):
        return split
    return Labelled(name=split.name, inputs=split.inputs, labels=torch.zeros(len(split), dtype=torch.int64))


def predict_alone(networks: Networks) -> Predict:
    """What predicts for a program of one member."""

    def predict(inputs: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = networks.predict(inputs)
        return features.unsqueeze(0), logits.unsqueeze(0)

    return predict


def join(first: Labelled, second: Labelled) -> Labelled:
    """Both, one behind the other, under the name of the second."""
    inputs, labels = torch.cat([first.inputs, second.inputs]), torch.cat([first.labels, second.labels])
    return Labelled(name=second.name, inputs=inputs, labels=labels)


def mix(split: Labelled) -> Labelled:
    """Input i and input i + N // 2 of N, .55 to .45, up to the last one; labels all 0."""
    half = len(split) // 2
    pairs = zip(split.inputs[: len(split) - half], split.inputs[half:], strict=True)
    mixed = [MIXED * one + (1 - MIXED) * other for one, other in pairs]  # one by one: photographs are large
    if split.inputs.dtype == torch.uint8:
        mixed = [each.round().to(torch.uint8) for each in mixed]
    labels = torch.zeros(len(mixed), dtype=torch.int64)
    return Labelled(name=f"{split.name} mixed", inputs=torch.stack(mixed), labels=labels)


@torch.inference_mode()
def evaluate(
    predict: Predict,
    samples: Samples,
    class_weights: Tensor | None = None,
    predict_source: Predict | None = None,
) -> list[Evaluation]:
    """Measure all members of a program.

    Args:
        predict: Of all members.
        samples: What they are measured on.
        class_weights: Those of the label predictor's last layer, (M, C, F); None where it has no such layer.
        predict_source: What predicts the source's samples, where that is not the same.
    """
    of_source = predict_source or predict
    held_out, shown = len(samples.held_out), samples.shown.numpy()
    source_test, target_test = samples.source_test, samples.target_test
    on_source, source_features = _look(
        of_source, samples, source_test, torch.cat([samples.held_out, samples.tested[0]])
    )
    on_target, target_features = _look(predict, samples, target_test, samples.tested[1])
    tested = np.concatenate([source_features[:, held_out:], target_features], 1)
    clustered = torch.arange(min(CLUSTERED_SAMPLE, len(samples.unlabelled)))
    on_unlabelled, unlabelled = _look(predict, samples, samples.unlabelled, clustered)
    _, training = _look(of_source, samples, samples.training, torch.arange(len(samples.training)))
    on_mixed, _ = _look(predict, samples, samples.mixed, torch.arange(0))
    together = np.concatenate([training, unlabelled, source_features[:, :held_out]], 1)
    ends = np.cumsum([training.shape[1], unlabelled.shape[1]])
    labels = [split.labels.numpy() for split in (source_test, target_test)]

    # What is the same at every step.
    fixed = {
        names.LABELS: np.concatenate([of[at.numpy()] for of, at in zip(labels, samples.tested, strict=True)]),
        names.DOMAIN_LABELS: np.repeat(np.arange(2), [len(at) for at in samples.tested]),
        names.SHOWN_PLACES: shown,
        names.SHOWN_LABELS: labels[1][shown],
    }
    if target_test.inputs.dtype == torch.uint8:
        stride = -(-max(target_test.inputs.shape[1:3]) // SHOWN_SIDE)
        fixed[names.SHOWN_IMAGES] = target_test.inputs[samples.shown][:, ::stride, ::stride].numpy()
    if held_out:
        fixed[names.SOURCE_LABELS] = labels[0][samples.held_out.numpy()]

    def measure(member: int) -> Evaluation:
        source, target = on_source[member], on_target[member]
        source_right, target_right = (
            logits.argmax(1) == of for logits, of in zip((source, target), labels, strict=True)
        )
        if samples.validation_labels is None:
            validated = target_right[samples.validation.numpy()]
        else:
            validated = on_unlabelled[member].argmax(1) == samples.validation_labels
        scores = {
            names.SOURCE_ACCURACY: source_right[samples.reported.numpy()].mean(),
            names.TARGET_ACCURACY: target_right.mean(),
            names.TARGET_VALIDATION_ACCURACY: validated.mean(),
            names.TARGET_REST_ACCURACY: target_right[samples.rest.numpy()].mean(),
        }
        common = np.split(project(together[member]), ends)
        seen = {
            names.TARGET_LOGITS: on_unlabelled[member],
            names.MIXED_LOGITS: narrow(on_mixed[member]),
            names.TRAINING_FEATURES: common[0],
            names.TARGET_FEATURES: common[1],
            names.FEATURES: project(tested[member]),
            names.SOURCE_CONFUSION: count_confusions(*(of[samples.reported.numpy()] for of in (source, labels[0]))),
            names.TARGET_CONFUSION: count_confusions(target, labels[1]),
            names.TARGET_RIGHT: np.packbits(target_right),
            names.SHOWN_LOGITS: narrow(target[shown]),
        }
        if held_out:
            seen |= {names.SOURCE_LOGITS: source[samples.held_out.numpy()], names.SOURCE_FEATURES: common[2]}
        if class_weights is not None:
            directions = torch.nn.functional.normalize(class_weights[member].float(), dim=1)
            seen[names.CLASS_COSINES] = (directions @ directions.T).cpu().numpy().astype(np.float16)
        return Evaluation({name: float(value) for name, value in scores.items()}, seen | fixed)

    return [measure(member) for member in range(len(on_target))]


def _look(predict: Predict, samples: Samples, split: Labelled, at: Tensor) -> tuple[np.ndarray, np.ndarray]:
    # Label logits (M, N, C) of all samples, and the features (M, k, F) of those at the places `at` (k,).
    features, logits, start = [], [], 0
    order = at.argsort(stable=True)
    wanted = at[order]
    for batch in samples.batches(split):
        of_all, predicted = predict(batch.inputs)
        here = wanted[(wanted >= start) & (wanted < start + len(batch.inputs))] - start
        features.append(of_all[:, here.to(of_all.device)])
        logits.append(predicted)
        start += len(batch.inputs)
    kept = torch.cat(features, 1).float().cpu()[:, order.argsort()]
    return torch.cat(logits, 1).float().cpu().numpy(), kept.numpy()


def count_confusions(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many samples (N,) of each class have which largest logit (N, C): rows true, columns predicted, (C, C)."""
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int32)


def narrow(logits: np.ndarray) -> np.ndarray:
    """As float16, those that it cannot hold cut to what it can."""
    return logits.clip(-WITHIN, WITHIN).astype(np.float16)


def project(features: np.ndarray) -> np.ndarray:
    """The leading principal components of (N, F) features, at most 32, the largest first: (N, min(F, 32)).

    As float16, whose three digits are enough for a probe and a figure; on another scale where its range is not.
    """
    count = min(FEATURE_DIMENSIONS, *features.shape)
    if not np.isfinite(features).all():
        return np.full((len(features), count), np.nan, np.float16)
    centred = features - features.mean(0, dtype=np.float64)
    scale = min(1.0, WITHIN / max(np.linalg.norm(centred, axis=1).max(), 1.0))
    centred = (scale * centred).astype(np.float32)
    if features.shape[1] <= FEW_FEATURES:
        _, axes = np.linalg.eigh(centred.T @ centred)  # the largest last
        components = centred @ axes[:, : -count - 1 : -1]
    else:
        from sklearn.utils.extmath import randomized_svd  # a second; not before the first step

        left, values, _ = randomized_svd(centred, count, random_state=0)
        components = left * values
    return np.ascontiguousarray(components, dtype=np.float16)
