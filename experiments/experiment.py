"""`Experiment`: everything that decides the numbers of one run, and nothing else."""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from experiments.errors import BadInput, unknown
from experiments.methods import METHODS
from experiments.networks import NETWORKS
from experiments.record import SELECTIONS
from grl.schedules import Ganin, InverseDecay, Schedule

# Part of every hash: raise it when a change of the code changes the numbers of an unchanged experiment.
SEMANTICS = 1


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent; its learning rate is the experiment's `lr`."""

    momentum: float = 0.9
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise BadInput(f"optimiser.momentum must be in [0, 1), got {self.momentum}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise BadInput(f"optimiser.weight_decay must be finite and >= 0, got {self.weight_decay}")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One training, completely described; its hash names the run.

    Two equal experiments, computed in the same way on one machine, give the same bits; how they are computed
    (`Machine`) changes a step by rounding alone. Fields that a method does not use (the alpha schedule of
    `source_only`) must be None, so that one training never has two hashes.
    """

    pair: str
    """Ordered domain pair, for example mnist_to_mnist_m."""
    method: str = "dann"
    """source_only, dann or target_only."""
    network: str = "mnist_paper"
    """Architecture of feature extractor, label predictor and domain classifier."""
    alpha: Schedule | None = field(default_factory=Ganin)
    """Coefficient inside the gradient reversal layer over progress; None for a method without adversary."""
    domain_weight: float | None = 2.0
    """Weight of domain_loss in the objective; 2 is the paper's sum of two means. None without adversary."""
    lr: InverseDecay = field(default_factory=InverseDecay)
    """Learning rate over progress."""
    optimiser: SGD = field(default_factory=SGD)
    steps: int = 10_000
    """Updates of the weights."""
    batch_size: int = 128
    """Images per step, half source, half target; a method that reads one domain takes its half alone."""
    batch_norm: Literal["joint", "separate"] = "joint"
    """Source and target in one forward pass (statistics of both), or in a pass each."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the networks' products and sums in training; with bfloat16, weights, losses and evaluations stay float32."""
    evaluate_every: int = 500
    """Steps between evaluations; a checkpoint follows if the last one is some seconds old."""
    log_every: int = 50
    """Steps between points of the training curves; a point is the mean since the previous one."""
    seed: int = 0
    selection: str = "last"
    """How the reported step is chosen: last, source_accuracy, information_maximisation or target_oracle."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS)
        if self.network not in NETWORKS:
            raise unknown("network", self.network, NETWORKS)
        if self.selection not in SELECTIONS:
            raise unknown("selection", self.selection, SELECTIONS)
        for name in ("steps", "batch_size", "evaluate_every", "log_every"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise BadInput(f"seed must be >= 0, got {self.seed}")
        if self.batch_size % 2:
            raise BadInput(f"batch_size must be even (half source, half target), got {self.batch_size}")
        if self.evaluate_every % self.log_every:
            raise BadInput(
                f"evaluate_every must be a multiple of log_every ({self.log_every}), got {self.evaluate_every}"
            )
        if self.batch_norm not in ("joint", "separate"):
            raise unknown("batch_norm", self.batch_norm, ("joint", "separate"))
        if self.precision not in ("float32", "bfloat16"):
            raise unknown("precision", self.precision, ("float32", "bfloat16"))
        if METHODS[self.method].adversarial:
            if self.alpha is None:
                raise BadInput(f"alpha must be a schedule for method {self.method}, got None")
            if self.domain_weight is None or not (math.isfinite(self.domain_weight) and self.domain_weight >= 0):
                raise BadInput(f"domain_weight must be finite and >= 0, got {self.domain_weight}")
        elif self.alpha is not None or self.domain_weight is not None:
            raise BadInput(
                f"method {self.method} has no adversary: alpha and domain_weight must be None, "
                f"got alpha={self.alpha}, domain_weight={self.domain_weight}"
            )

    def with_method(self, method: str) -> Self:
        """The same recipe for another method; the adversary's fields go where there is no adversary."""
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        if METHODS[method].adversarial:
            adversary = {} if METHODS[self.method].adversarial else {"alpha": Ganin(), "domain_weight": 2.0}
        else:
            adversary = {"alpha": None, "domain_weight": None}
        return dataclasses.replace(self, method=method, **adversary)

    def canonical(self) -> dict[str, Any]:
        """Nested plain values; a schedule becomes its fields and its class name."""
        return _plain(self) | {"semantics": SEMANTICS}

    def flat(self) -> dict[str, str]:
        """The canonical form as MLflow params: `alpha` is the schedule's class, `alpha.gamma` one of its fields."""
        flat: dict[str, str] = {}
        for name, value in self.canonical().items():
            if isinstance(value, dict):
                flat[name] = str(value["class"])
                flat |= {f"{name}.{key}": str(inner) for key, inner in value.items() if key != "class"}
            else:
                flat[name] = str(value)
        return flat

    @property
    def hash(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the canonical form."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """A short name for progress lines and the MLflow list; alpha is named where it is not the usual ramp."""
        alpha = "" if self.alpha in (None, Ganin()) else f" alpha {show_schedule(self.alpha)}"
        return f"{self.method} {self.pair} seed {self.seed}{alpha} [{self.network}]"


def _plain(value: Any, declared: object = None) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _plain(getattr(value, f.name), f.type) for f in dataclasses.fields(value)}
        return fields if isinstance(value, Experiment) else {"class": type(value).__name__} | fields
    # 2 and 2.0 in a field of numbers are one experiment.
    return float(value) if isinstance(value, int) and declared in (float, float | None) else value


def show_schedule(schedule: Schedule) -> str:
    """A schedule on one line, numbers to four digits: Ganin(gamma=10, alpha_max=1)."""
    fields = {f.name: getattr(schedule, f.name) for f in dataclasses.fields(schedule)}
    inner = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in fields.items()
        if value is not None
    )
    return f"{type(schedule).__name__}({inner})"
