"""The form of a method: what it reads, the heads it needs, its scheduled values, and what one step minimises.

A method is a frozen dataclass with its own fields. It is cut at the features: the loop passes a batch through the
feature extractor and the label predictor, the method makes a loss of what comes out.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from datasets import Batch, DomainPair, Labelled, LabelledBatch, Split, by_domain
from datasets.batches.order import Order
from experiments.errors import BadInput, unknown
from experiments.networks.base import Build, DomainBatchNorm, Network, Networks
from experiments.record.names import ADVERSARIAL_LOSS, DOMAIN_ACCURACY, DOMAIN_LOSS, LABEL_LOSS
from grl.losses import AdversarialLoss, domain_loss
from grl.schedules import Ganin, Schedule

Reads = Literal["source", "source and target", "target labels"]
BatchNormProtocol = Literal["joint", "separate", "domain_specific"]


class Passed(NamedTuple):
    """One batch behind the feature extractor; source first.

    Attributes:
        features: `(N, F)`, of all that the method reads.
        label_logits: `(n, C)` of the labelled samples, or `(N, C)` of all (`Method.predicts`).
        labels: `(n,)`, of the first n samples.
        domain_labels: source 0, target 1, `(N,)`; of K domains 0 to K - 1, sources first.
        sources: How many of the domains are sources.
        targets: How many are targets.
    """

    features: Tensor
    label_logits: Tensor
    labels: Tensor
    domain_labels: Tensor
    sources: int = 1
    targets: int = 1


class Losses(NamedTuple):
    """What one step minimises and shows, 0-d tensors in nats.

    Attributes:
        objective: What is minimised: the label loss, and whatever the method adds to it.
        label_loss: The part of it that is no adversary's.
        curves: What is logged, by name.
        domain_logits: The adversary's logits of "this sample is from the target", `(N,)`, or one per domain, `(N, K)`;
            None where it has none.
    """

    objective: Tensor
    label_loss: Tensor
    curves: dict[str, Tensor]
    domain_logits: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Method:
    """Base of all methods.

    Attributes:
        name: As in `--method NAME`, and as printed in tables.
        version: Raise it when a change of the code changes the numbers; it is part of a run's hash.
        reads: The training splits it may see. What it does not read is never opened.
        predicts: Whose label logits it needs: those of the labelled samples, or of all.
        together: Whether many runs may be trained as one program (`training.together`): not where `losses` draws random
            numbers or branches on values.
        recordable: Whether a step can be recorded as a CUDA graph: not where `losses` waits for the device, as a
            singular value decomposition does.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads: ClassVar[Reads]
    predicts: ClassVar[Literal["labelled", "all"]] = "labelled"
    together: ClassVar[bool] = True
    recordable: ClassVar[bool] = True
    label_smoothing: float = 0.0
    """So much of each label is spread over all classes."""

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise BadInput(f"method.label_smoothing must be in [0, 1), got {self.label_smoothing}")

    def heads(self, network: Network, width: int, classes: int) -> Mapping[str, Build]:
        """What stands on the features beside the label predictor: a name, and a function that builds it.

        Args:
            network: Offers `domain_head(width)` and `label_head(width, classes)`.
            width: F, of the features.
            classes: C.
        """
        return {}

    def arrange(self, networks: Networks) -> Networks:
        """The networks that were built, as the method trains them."""
        return networks

    def scheduled(self, progress: float, step: int) -> dict[str, float]:
        """The value of every field that is a schedule; `losses` receives it under the field's name."""
        return {name: schedule(progress, step=step) for name, schedule in self.schedules.items()}

    @cached_property
    def schedules(self) -> dict[str, Schedule]:
        """The fields that are schedules. Runs that differ in these and in their seed can be trained as one program."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Schedule)}

    def mean_of_inputs(self, pair: DomainPair) -> Tensor:
        """What is subtracted from all inputs of a pair, `(C,)` or `(D,)`."""
        return mean_of_training(self.reads, pair)

    def forward(self, networks: Networks, batches: Mapping[str, Batch]) -> Passed:
        """Pass the batches, by domain and sources first, through extractor and label predictor."""
        features = self.extract(networks, [batch.inputs for batch in batches.values()])
        labels = [batch.labels for batch in batches.values() if isinstance(batch, LabelledBatch)]
        domain_labels = [
            torch.full((len(batch.inputs),), float(number), device=features.device)
            for number, batch in enumerate(batches.values())
        ]
        predicted = features if self.predicts == "all" else features[: sum(map(len, labels))]
        return Passed(
            features,
            networks.label_predictor(predicted),
            torch.cat(labels),
            torch.cat(domain_labels),
            sources=len(labels),
            targets=len(batches) - len(labels),
        )

    def extract(self, networks: Networks, inputs: Sequence[Tensor]) -> Tensor:
        """Features `(N, F)` of the inputs of each domain, all in one pass."""
        return networks.feature_extractor(inputs[0] if len(inputs) == 1 else torch.cat([*inputs]))

    def label_loss(self, label_logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy of logits `(N, C)` of which the first n have labels `(n,)`, in nats, 0-d."""
        return cross_entropy(label_logits[: len(labels)], labels, label_smoothing=self.label_smoothing)

    def losses(self, networks: Networks, passed: Passed, **scheduled: float) -> Losses:
        """What one step minimises: the label loss alone."""
        label_loss = self.label_loss(passed.label_logits, passed.labels)
        return Losses(label_loss, label_loss, {LABEL_LOSS: label_loss})


@dataclass(frozen=True, kw_only=True)
class BothDomains(Method):
    """A method that reads source and target."""

    reads = "source and target"
    batch_norm: BatchNormProtocol = "joint"
    """Source and target in one forward pass, in a pass each, or also with averages, scale and shift of their own."""
    warm_up: int = 0
    """Steps on the label loss alone, before all else begins: its schedules then run over what is left."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_norm not in (known := get_args(BatchNormProtocol)):
            raise unknown("method.batch_norm", self.batch_norm, known)
        if self.warm_up < 0:
            raise BadInput(f"method.warm_up must be >= 0, got {self.warm_up}")

    def scheduled(self, progress: float, step: int) -> dict[str, float]:
        """Beside the schedules, after a warm-up: whether it is over."""
        if not self.warm_up:
            return super().scheduled(progress, step)
        past = step - self.warm_up
        if past <= 0:
            return super().scheduled(0.0, 0) | {"started": float(past == 0)}
        return super().scheduled(past / (round(step / progress) - self.warm_up), past) | {"started": 1.0}

    def arrange(self, networks: Networks) -> Networks:
        if self.batch_norm == "domain_specific":
            DomainBatchNorm.divide(networks.feature_extractor)
        return networks

    def extract(self, networks: Networks, inputs: Sequence[Tensor]) -> Tensor:
        if self.batch_norm == "joint":
            return super().extract(networks, inputs)
        features = []
        for domain, each in enumerate(inputs):
            DomainBatchNorm.enter(networks.feature_extractor, domain)
            features.append(networks.feature_extractor(each))
        return torch.cat(features)


@dataclass(frozen=True, kw_only=True)
class Adversarial(BothDomains):
    """A method whose adversary sees the features through the gradient reversal.

    objective = label_loss + domain_weight · adversary(...); the reversal is inside the adversary's loss, so it is
    added, never subtracted.

    Attributes:
        adds_domain_loss: Whether the adversary's loss is the domain loss itself; where it is another one, both are
            logged.
    """

    adds_domain_loss: ClassVar[bool] = True
    alpha: Schedule = Ganin()
    """Coefficient inside the gradient reversal layer over progress."""
    domain_weight: float = 2.0
    """Weight of the adversary's loss in the objective; 2 is the paper's sum of two means."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.alpha, Schedule):
            raise BadInput(f"method.alpha must be a Schedule, got {self.alpha!r}")
        if not (math.isfinite(self.domain_weight) and self.domain_weight >= 0):
            raise BadInput(f"method.domain_weight must be finite and >= 0, got {self.domain_weight}")

    @property
    def has_adversary(self) -> bool:
        """Whether the adversary's loss can be had by itself: a class may have `losses` of its own instead."""
        return type(self).adversary is not Adversarial.adversary

    def adversary(self, networks: Networks, passed: Passed, alpha: float) -> AdversarialLoss:
        """The adversary's loss, with the features reversed inside it."""
        raise NotImplementedError

    def losses(
        self, networks: Networks, passed: Passed, *, alpha: float, started: float = 1.0, **scheduled: float
    ) -> Losses:
        label_loss = self.label_loss(passed.label_logits, passed.labels)
        loss, domain_logits = self.adversary(networks, passed, alpha)
        curves = {LABEL_LOSS: label_loss}
        if domain_logits is not None:
            known, domain_labels = domain_logits.detach(), passed.domain_labels
            if known.ndim == 1 and passed.sources + passed.targets > 2:  # one that tells sources from targets alone
                domain_labels = (domain_labels >= passed.sources).float()
            curves[DOMAIN_LOSS] = loss if self.adds_domain_loss else domain_loss(known, domain_labels)
            # The share of samples whose domain the adversary names rightly; 0.5 is confusion of two.
            named = known > 0 if known.ndim == 1 else known.argmax(1)
            curves[DOMAIN_ACCURACY] = (named == domain_labels).float().mean()
        if domain_logits is None or not self.adds_domain_loss:
            curves[ADVERSARIAL_LOSS] = loss
        return Losses(label_loss + started * self.domain_weight * loss, label_loss, curves, domain_logits)


def open_splits(reads: Reads, pair: DomainPair) -> dict[str, Split]:
    """The training splits that a method reads, by domain: one of several sources is "source 1".

    `source` never opens the target, and only `target labels` asks for its labels.
    """

    def each(side: str, splits: Sequence[Split]) -> dict[str, Split]:
        if len(splits) == 1:
            return {side: splits[0]}
        return {f"{side} {number}": split for number, split in enumerate(splits, 1)}

    match reads:
        case "source":
            return each("source", by_domain(pair.source))
        case "source and target":
            return each("source", by_domain(pair.source)) | each("target", by_domain(pair.target))
        case "target labels":
            return {"target": divide_target(pair)[0]}


def divide_target(pair: DomainPair) -> tuple[Labelled, Labelled]:
    """The labelled target for a method that reads its labels: what it trains on, and what it is measured on.

    A target without a test split is divided in two halves, the same for every run: nothing is measured on samples whose
    labels were trained on.
    """
    known, test = pair.reveal_target_labels(reader="target_only"), pair.evaluation.target_test
    if test.name != known.name:
        return known, test
    order = Order(0, f"{known.name} halves", len(known)).take(len(known))

    def choose(which: str, index: Tensor) -> Labelled:
        index = index.sort().values
        return Labelled(name=f"{known.name} {which} half", inputs=known.inputs[index], labels=known.labels[index])

    half = len(known) // 2
    return choose("first", order[:half]), choose("second", order[half:])


def mean_of_training(reads: Reads, pair: DomainPair) -> Tensor:
    """The mean of what is trained on, which is subtracted from all inputs: `source_only` owes nothing to the target.

    Returns:
        `(C,)` or `(D,)`.
    """
    return torch.stack([split.mean() for split in open_splits(reads, pair).values()]).mean(0)
