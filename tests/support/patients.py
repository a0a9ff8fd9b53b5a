"""Random networks for the doctor, healthy ones and the same with a fault planted, each drawn from its seed."""

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from grl import GradientReversal, domain_loss, gradient_reversal, gradient_scale
from grl.losses import domain_adversarial_loss
from grl.losses.adversarial import read_logits


@dataclass(frozen=True)
class Patient:
    """Networks, a batch of each domain and the coefficient they are trained with."""

    extractor: nn.Module
    classifier: nn.Module
    source: Tensor
    target: Tensor
    domain_labels: Tensor
    alpha: float
    history: str


def draw_patient(seed: int, steps: int = 300) -> Patient:
    """Return a healthy patient: untrained, trained through the reversal, or with an adversary trained alone."""
    dice = random.Random(seed)
    torch.manual_seed(seed)
    domains = dice.choice([2, 2, 2, 3, 4])
    inputs, width = dice.randint(2, 12), dice.choice([4, 8, 16, 32])
    counts = [64, 64, *[32] * (domains - 2)] if dice.random() < 0.7 else [64, *[dice.randint(5, 40)] * (domains - 1)]
    batches = [torch.randn(n, inputs) + 0.7 * k for k, n in enumerate(counts)]
    labels = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])
    extractor = nn.Sequential(*_draw_layers(dice, inputs, width, dice.randint(1, 3)))
    outputs = dice.choice([1, 2]) if domains == 2 else domains
    depth = dice.randint(0, 2)
    hidden = dice.choice([4, 8, 16, 32]) if depth else width
    last = nn.Linear(hidden, outputs)
    classifier = nn.Sequential(*_draw_layers(dice, width, hidden, depth, adversary=True), last)
    if dice.random() < 0.15:
        nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)
    alpha = dice.choice([0.05, 0.1, 0.5, 1.0, 2.0])
    history = dice.choice(["untrained", "through the reversal", "adversary alone"])
    patient = Patient(extractor, classifier, batches[0], torch.cat(batches[1:]), labels, alpha, history)
    if history != "untrained":
        _train(patient, dice, dice.randint(1, steps), alone=history == "adversary alone")
    for network in (extractor, classifier):
        network.train(dice.random() < 0.7).zero_grad()
    return patient


def _draw_layers(dice: random.Random, inputs: int, width: int, depth: int, adversary: bool = False) -> list[nn.Module]:
    activation = dice.choice([nn.ReLU, nn.Tanh, nn.GELU, nn.LeakyReLU, nn.ELU, nn.Sigmoid])
    extra = dice.choice(["none", "none", "batch norm", "layer norm", "dropout", "spectral norm"])
    layers: list[nn.Module] = []
    for _ in range(depth):
        linear = nn.Linear(inputs, width)
        if extra == "spectral norm" and adversary:
            linear = dice.choice([nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm])(linear)
        layers += [linear]
        layers += [nn.BatchNorm1d(width)] if extra == "batch norm" else []
        layers += [nn.LayerNorm(width)] if extra == "layer norm" else []
        layers += [activation()]
        layers += [nn.Dropout(0.3)] if extra == "dropout" else []
        inputs = width
    return layers


def _train(patient: Patient, dice: random.Random, steps: int, *, alone: bool) -> None:
    extractor, classifier = patient.extractor, patient.classifier
    networks = nn.ModuleList([classifier] if alone else [extractor, classifier])
    lr = dice.choice([0.01, 0.1])
    kind = dice.choice(["sgd", "adam"])
    optimiser = (
        torch.optim.SGD(networks.parameters(), lr=lr, momentum=0.9)
        if kind == "sgd"
        else torch.optim.Adam(networks.parameters(), lr=lr / 10)
    )
    x = torch.cat([patient.source, patient.target])
    for _ in range(steps):
        optimiser.zero_grad()
        loss = domain_adversarial_loss(classifier, extractor(x), patient.domain_labels, patient.alpha).loss
        if not loss < 100.0:  # on its way to infinity
            break
        loss.backward()
        optimiser.step()


def plain(classifier: nn.Module, features: Tensor, labels: Tensor) -> Tensor:
    """The domain loss without reversal."""
    return domain_loss(read_logits(classifier(features), labels.shape), labels)


Term = Callable[[nn.Module, Tensor, Tensor, float], Tensor]
WRONG_TERMS: dict[str, tuple[str, Term]] = {
    "alpha twice": ("applied twice", lambda d, f, y, a: plain(d, gradient_reversal(gradient_scale(f, a), a), y)),
    "no layer": ("not reversed", lambda d, f, y, a: plain(d, f, y)),
    "subtracted": ("negated twice", lambda d, f, y, a: -plain(d, gradient_reversal(f, a), y)),
    "subtracted, no layer": ("negated twice", lambda d, f, y, a: -plain(d, f, y)),
    "negated at the features": (
        "negated twice",
        lambda d, f, y, a: plain(d, gradient_scale(gradient_reversal(f, a), -1.0), y),
    ),
    "two layers": ("negated twice", lambda d, f, y, a: plain(d, gradient_reversal(gradient_reversal(f, a), a), y)),
    "detached features": ("detached", lambda d, f, y, a: plain(d, gradient_reversal(f.detach(), a), y)),
    "factor 0": ("detached", lambda d, f, y, a: plain(d, gradient_reversal(f, 0.0), y)),
    "alpha on the loss": ("on the loss", lambda d, f, y, a: a * plain(d, gradient_reversal(f, 1.0), y)),
    "alpha on both": ("on the loss", lambda d, f, y, a: a * plain(d, gradient_reversal(f, a), y)),
    "alpha on the loss, no layer": ("on the loss", lambda d, f, y, a: a * plain(d, f, y)),
    "fixed alpha": ("stuck", lambda d, f, y, a: plain(d, gradient_reversal(f, 0.7), y)),
    "three times alpha": ("wrong factor", lambda d, f, y, a: plain(d, gradient_reversal(f, 3 * a), y)),
    "behind the classifier": (
        "misplaced",
        lambda d, f, y, a: domain_loss(gradient_reversal(read_logits(d(f), y.shape), a), y),
    ),
}
"""Terms with a fault, and the doctor's name for it."""


def _sigmoid(patient: Patient) -> Patient:
    return replace(patient, classifier=nn.Sequential(patient.classifier, nn.Sigmoid()))


def _hidden(patient: Patient) -> Patient:
    return replace(patient, classifier=nn.Sequential(GradientReversal(0.5), patient.classifier))


def _inside(patient: Patient) -> Patient | None:
    layers = list(patient.classifier)  # pyright: ignore
    if len(layers) < 2:
        return None
    return replace(patient, classifier=nn.Sequential(*layers[:-1], GradientReversal(1.0), layers[-1]))


def _softmax(patient: Patient) -> Patient | None:
    if list(patient.classifier)[-1].out_features != 1:  # pyright: ignore
        return None
    return replace(patient, classifier=nn.Sequential(patient.classifier, nn.Softmax(dim=1)))


WRONG_NETWORKS: dict[str, tuple[str, Callable[[Patient], Patient | None]]] = {
    "sigmoid before a loss on logits": ("squashed", _sigmoid),
    "softmax over one logit": ("dead", _softmax),
    "a fixed layer in front in the classifier": ("negated twice", _hidden),
    "a fixed layer inside the classifier": ("negated twice", _inside),
}
"""Operations that plant a fault in the networks, and the doctor's name for it; None where they cannot be done."""

FAULTS = [*WRONG_TERMS, *WRONG_NETWORKS, "frozen classifier", "frozen extractor", "a weight that is NaN"]


@contextmanager
def plant(fault: str, patient: Patient) -> Generator[tuple[str, Patient, dict[str, Any]] | None]:
    """Yield the right name of a fault, the patient with it, and what to pass to `examine`; None where impossible."""
    if fault in WRONG_TERMS:
        status, term = WRONG_TERMS[fault]
        yield status, patient, {"adversarial_loss": lambda f, y, a: term(patient.classifier, f, y, a)}
    elif fault in WRONG_NETWORKS:
        status, operate = WRONG_NETWORKS[fault]
        ill = operate(patient)
        yield None if ill is None else (status, ill, {})
    elif fault.startswith("frozen"):
        frozen = {"frozen classifier": patient.classifier, "frozen extractor": patient.extractor}[fault]
        frozen.requires_grad_(False)
        yield "dead" if frozen is patient.classifier else "detached", patient, {}
        frozen.requires_grad_(True)
    else:
        weight = next(patient.classifier.parameters())
        kept = weight.detach().clone()
        weight.data.view(-1)[0] = torch.nan
        yield "not finite", patient, {}
        weight.data.copy_(kept)
