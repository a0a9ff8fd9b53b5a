"""Methods without an adversary against their papers' formulas in NumPy, and against finite differences."""

import numpy as np
import pytest
import torch

from datasets import Batch, LabelledBatch
from experiments.errors import BadInput
from experiments.methods.bnm import BNM
from experiments.methods.coral import CORAL
from experiments.methods.mcc import MCC
from experiments.methods.mmd import MMD
from experiments.networks import Networks
from grl.schedules import Constant

SOURCE, TARGET = 5, 6


def draw(width: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(SOURCE, width)), random.normal(size=(TARGET, width)) * 1.5 + 0.5


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def coral(source, target):
    apart = np.cov(source, rowvar=False) - np.cov(target, rowvar=False)
    return (apart**2).sum() / (4 * source.shape[1] ** 2)


def mmd(source, target, mean=None):
    """By loops over pairs of different samples."""
    both = np.concatenate([source, target])
    apart = np.array([[((a - b) ** 2).sum() for b in both] for a in both])
    mean = apart.mean() if mean is None else mean

    def k(i, j):
        return np.mean([np.exp(-apart[i, j] / (2 * width * mean)) for width in (0.25, 0.5, 1, 2, 4)])

    s, t = range(len(source)), range(len(source), len(both))
    return (
        np.mean([k(i, j) for i in s for j in s if i != j])
        + np.mean([k(i, j) for i in t for j in t if i != j])
        - 2 * np.mean([k(i, j) for i in s for j in t])
    )


def mcc(source, target, weights=None):
    p = softmax(target / 2.5)
    weights = 1 + np.exp((p * np.log(p)).sum(1)) if weights is None else weights
    weights = weights * len(p) / weights.sum()
    classes = p.shape[1]
    c = np.array([[(weights * p[:, i] * p[:, j]).sum() for j in range(classes)] for i in range(classes)])
    c /= c.sum(1, keepdims=True)
    return sum(c[i, j] for i in range(classes) for j in range(classes) if i != j) / classes


def bnm(source, target):
    return -np.linalg.svd(softmax(target), compute_uv=False).sum() / len(target)


CASES = {"coral": (CORAL, coral), "mmd": (MMD, mmd), "mcc": (MCC, mcc), "bnm": (BNM, bnm)}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_the_alignment_is_the_papers(name, seed):
    method, formula = CASES[name]
    source, target = draw(seed=seed)
    found = method().alignment(torch.from_numpy(source), torch.from_numpy(target))
    assert found.item() == pytest.approx(formula(source, target), rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_its_gradient_is_the_slope_of_the_formula(name):
    """MMD's mean distance and MCC's weights are held fixed."""
    method, formula = CASES[name]
    values = [torch.from_numpy(part).requires_grad_() for part in draw()]
    grads = torch.autograd.grad(method().alignment(*values), values, allow_unused=True)
    source, target = draw()
    p, both = softmax(target / 2.5), np.concatenate([source, target])
    fixed = {
        "mcc": {"weights": 1 + np.exp((p * np.log(p)).sum(1))},
        "mmd": {"mean": ((both[:, None] - both[None]) ** 2).sum(2).mean()},
    }.get(name, {})
    for which, grad in enumerate(grads):
        expected = np.zeros_like((source, target)[which])
        for place in np.ndindex(expected.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [source.copy(), target.copy()]
                moved[which][place] += step
                ends.append(formula(*moved, **fixed))
            expected[place] = (ends[0] - ends[1]) / 2e-6
        found = np.zeros_like(expected) if grad is None else grad.numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("name", "least"), [("coral", 0.0), ("mcc", 0.0), ("bnm", -1.0)])
def test_what_is_aligned_is_at_its_minimum(name, least):
    """Equal domains, and predictions that are sure and even."""
    sure = torch.from_numpy(100 * np.eye(3)[np.arange(6) % 3])
    method, _ = CASES[name]
    expected = {"bnm": -np.sqrt(3 / 6)}.get(name, least)
    assert method().alignment(sure, sure).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_objective_is_the_label_loss_and_so_much_of_the_alignment(name):
    method, formula = CASES[name]
    torch.manual_seed(0)
    networks = Networks(torch.nn.Linear(3, 4), torch.nn.Linear(4, 3), {}).double()
    source, target = (torch.from_numpy(part) for part in draw())
    batches = {"source": LabelledBatch(source, torch.arange(SOURCE) % 3), "target": Batch(target)}
    losses = method().losses(networks, method().forward(networks, batches), weight=0.3)
    with torch.no_grad():
        [on_source, on_target] = [networks.predict(part) for part in (source, target)]
    which = 1 if method.predicts == "all" else 0
    expected = formula(on_source[which].numpy(), on_target[which].numpy())
    assert losses.curves["alignment_loss"].item() == pytest.approx(expected, rel=1e-9)
    label_loss = -on_source[1].log_softmax(1)[torch.arange(SOURCE), torch.arange(SOURCE) % 3].mean().item()
    assert losses.objective.item() == pytest.approx(label_loss + 0.3 * expected, rel=1e-9)
    assert losses.domain_logits is None


def test_bad_fields_are_named():
    with pytest.raises(BadInput, match=r"method.temperature must be finite and > 0, got 0.0"):
        MCC(temperature=0.0)
    with pytest.raises(BadInput, match=r"method.weight must be a Schedule, got 0.3"):
        CORAL(weight=0.3)
    assert CORAL(weight=Constant(value=0.3)).scheduled(0.5, 1) == {"weight": 0.3}
