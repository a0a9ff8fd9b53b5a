"""`Experiment`: everything that decides the numbers of one run, and nothing else."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from datasets import Augment
from experiments.errors import BadInput, unknown
from experiments.identity import describe, flatten, origin_of
from experiments.methods import Method
from experiments.methods.dann import DANN
from experiments.networks import Network
from experiments.networks.mnist import MnistPaper
from experiments.optimisers import SGD, Optimiser
from grl.schedules import InverseDecay, Schedule

# Part of every hash: raise it when a change of the code changes the numbers of an unchanged experiment.
SEMANTICS = 2


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One training, completely described; its hash names the run.

    Two equal experiments, computed in the same way on one machine, give the same bits; how they are computed
    (`Machine`) changes a step by rounding alone. Which of its checkpoints is reported is not part of it: any validator
    chooses among the recorded evaluations afterwards.
    """

    pair: str
    """Ordered domain pair, for example mnist_to_mnist_m; of several sources or targets, a+b_to_c."""
    method: Method = field(default_factory=DANN)
    """What a step minimises; the method's own fields follow as --method.FIELD."""
    network: Network = field(default_factory=MnistPaper)
    """Architecture of feature extractor and heads; its own fields follow as --network.FIELD."""
    lr: Schedule = field(default_factory=InverseDecay)
    """Learning rate over progress."""
    optimiser: Optimiser = field(default_factory=SGD)
    """What makes an update of a gradient."""
    steps: int = 10_000
    """Updates of the weights."""
    batch_size: int = 128
    """Samples per step, half source, half target: a half for each domain that is read, of several for each of them."""
    balanced: bool = False
    """Draw every class equally often, as far as labels are known: those of the source."""
    augment: Augment = field(default_factory=Augment)
    """How training images vary; as it is, not at all."""
    held_out: float = 0.0
    """Share of both training splits that is not trained on; of the source, it decides whose step's model is kept."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the networks' products and sums in training; with bfloat16, weights, losses and evaluations stay float32."""
    evaluate_every: int = 500
    """Steps between evaluations; a checkpoint follows if the last one is some seconds old."""
    log_every: int = 50
    """Steps between points of the training curves; a point is the mean since the previous one."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, base in (
            ("method", Method),
            ("network", Network),
            ("lr", Schedule),
            ("optimiser", Optimiser),
            ("augment", Augment),
        ):
            if not isinstance(getattr(self, name), base):
                raise BadInput(f"{name} must be a {base.__name__}, got {getattr(self, name)!r}")
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
        if not 0 <= self.held_out < 1:
            raise BadInput(f"held_out must be in [0, 1), got {self.held_out}")
        if (warm_up := getattr(self.method, "warm_up", 0)) >= self.steps:
            raise BadInput(f"method.warm_up must be < steps ({self.steps}), got {warm_up}")
        if "+" in self.pair and getattr(self.method, "batch_norm", "") == "domain_specific":
            raise BadInput(f"method.batch_norm domain_specific needs one source and one target, got pair {self.pair}")
        if self.precision not in ("float32", "bfloat16"):
            raise unknown("precision", self.precision, ("float32", "bfloat16"))

    @cached_property
    def description(self) -> dict[str, Any]:
        """Nested plain values, the names of method, network and optimiser among them."""
        described = describe(self, path="experiment")
        del described["class"]
        for part in ("method", "network", "optimiser"):
            described[part]["name"] = getattr(self, part).name
        return described | {"semantics": SEMANTICS}

    def flat(self) -> dict[str, str]:
        """The description as MLflow params: `method` is a name, `method.alpha.gamma` a field of its schedule."""
        return flatten(self.description)

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the description."""
        text = json.dumps(self.description, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """A short name for progress lines and the MLflow list, where some 20 letters show: what differs comes first."""
        return f"{show_method(self.method)} seed {self.seed} {self.pair} [{self.network.name}]"


def reverse(experiment: Experiment, kind: Literal["reversed", "circular"] = "reversed") -> Experiment:
    """The run that judges another, without a target label: the same from the target, as that run labels it, back.

    Reverse validation (Ganin et al. 2016, section 5.1.2) begins with the model of the run, and is measured on what the
    run held out of the source; circular validation begins anew, and is measured on all of the source. The pair's name
    says it: `<pair>_reversed_<hash>`.
    """
    return dataclasses.replace(experiment, pair=f"{experiment.pair}_{kind}_{experiment.hash}")


def check_reversed(experiment: Experiment, forward: Experiment) -> None:
    """Refuse a run whose pair is made of a run of another pair, or with another share held out.

    Raises:
        BadInput: It is one.
    """
    named, made = (
        f"pair {pair} with held_out {each.held_out}"
        for pair, each in ((origin_of(experiment.pair)[0], experiment), (forward.pair, forward))
    )
    if named != made:
        raise BadInput(f"pair {experiment.pair} is made of a run of {made}, got {named}")


def show_method(method: Method) -> str:
    """A method on one line: its name, and each field that differs from its class's default."""
    shown = [method.name]
    for each in dataclasses.fields(method):
        value, usual = getattr(method, each.name), each.default
        if value == usual:
            continue
        if value is True:
            shown.append(each.name)
        elif isinstance(value, Schedule):  # alpha is what a schedule is, unless it is said
            shown.append(show_schedule(value) if each.name == "alpha" else f"{each.name} {show_schedule(value)}")
        elif isinstance(value, Method):
            shown.append(f"{each.name} {show_method(value)}")
        else:
            shown.append(f"{each.name} {value}")
    return " ".join(shown)


def show_schedule(schedule: Schedule) -> str:
    """A schedule on one line, numbers to four digits: its first field, and the others that are not as usual.

    >>> from grl.schedules import Constant, Ganin
    >>> show_schedule(Constant(value=0.25)), show_schedule(Ganin(alpha_max=0.5))
    ('Constant(0.25)', 'Ganin(10, alpha_max=0.5)')
    """
    shown = []
    for place, each in enumerate(dataclasses.fields(schedule)):
        value = getattr(schedule, each.name)
        if place and value == each.default:
            continue
        text = show_schedule(value) if isinstance(value, Schedule) else value
        text = f"{value:.4g}" if isinstance(value, float) else text
        shown.append(f"{each.name}={text}" if place else str(text))
    return f"{type(schedule).__name__}({', '.join(shown)})"
