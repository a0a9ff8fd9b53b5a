"""Adversarial losses against references that use no reversal: two optimisers, or gradients taken apart by hand."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from grl import domain_loss
from grl.losses import (
    AdversarialLoss,
    MultilinearMap,
    RandomisedMultilinearMap,
    build_multilinear_map,
    classifier_discrepancy_loss,
    conditional_domain_loss,
    domain_adversarial_loss,
    margin_disparity_loss,
    nuclear_discrepancy_loss,
)

N_SOURCE, N_TARGET, WIDTH, CLASSES = 6, 8, 5, 3
LABELS = torch.tensor([0] * N_SOURCE + [1] * N_TARGET)


class Networks(nn.Module):
    """An extractor, two label heads, and a domain classifier of any width, in float64."""

    def __init__(self, adversary_width: int = WIDTH) -> None:
        super().__init__()
        self.extractor = nn.Sequential(nn.Linear(4, WIDTH), nn.Tanh())
        self.predictor = nn.Linear(WIDTH, CLASSES)
        self.second = nn.Linear(WIDTH, CLASSES)
        self.domain_classifier = nn.Sequential(nn.Linear(adversary_width, 7), nn.Tanh(), nn.Linear(7, 1))
        self.double()


# Each method: the loss with the reversal inside, and the same number as plain operations written from the papers.


def dann(n: Networks, f: Tensor, alpha: float, labels: Tensor = LABELS) -> AdversarialLoss:
    return domain_adversarial_loss(n.domain_classifier, f, labels, alpha)


def plain_dann(n: Networks, f: Tensor) -> Tensor:
    p = torch.sigmoid(n.domain_classifier(f)).squeeze(1)
    return -(torch.log(1 - p[:N_SOURCE]).sum() + torch.log(p[N_SOURCE:]).sum()) / len(f)


def cdan(n: Networks, f: Tensor, alpha: float, labels: Tensor = LABELS) -> AdversarialLoss:
    return conditional_domain_loss(n.domain_classifier, f, n.predictor(f), labels, alpha)


def outer(n: Networks, f: Tensor) -> tuple[Tensor, Tensor]:
    g = torch.softmax(n.predictor(f).detach(), 1)
    return torch.stack([torch.outer(a, b).flatten() for a, b in zip(f, g, strict=True)]), g


def plain_cdan(n: Networks, f: Tensor) -> Tensor:
    return plain_dann(n, outer(n, f)[0])


def cdan_e(n: Networks, f: Tensor, alpha: float, labels: Tensor = LABELS) -> AdversarialLoss:
    return conditional_domain_loss(n.domain_classifier, f, n.predictor(f), labels, alpha, entropy_weights=True)


def plain_cdan_e(n: Networks, f: Tensor) -> Tensor:
    h, g = outer(n, f)
    p = torch.sigmoid(n.domain_classifier(h)).squeeze(1)
    w = 1 + torch.exp((g * torch.log(g)).sum(1))
    source, target = w[:N_SOURCE] / w[:N_SOURCE].sum(), w[N_SOURCE:] / w[N_SOURCE:].sum()
    return -((source * torch.log(1 - p[:N_SOURCE])).sum() + (target * torch.log(p[N_SOURCE:])).sum()) / 2


def mdd(n: Networks, f: Tensor, alpha: float, labels: Tensor = LABELS) -> AdversarialLoss:
    return margin_disparity_loss(n.second, f, n.predictor(f), labels, alpha, margin=3.0)


def plain_mdd(n: Networks, f: Tensor) -> Tensor:
    y = n.predictor(f).argmax(1)
    p = torch.softmax(n.second(f), 1)[torch.arange(len(f)), y]
    return 3.0 * -torch.log(p[:N_SOURCE]).mean() - torch.log(1 - p[N_SOURCE:]).mean()


def daln(n: Networks, f: Tensor, alpha: float, labels: Tensor = LABELS) -> AdversarialLoss:
    return nuclear_discrepancy_loss(n.predictor, f, labels, alpha)


def plain_daln(n: Networks, f: Tensor) -> Tensor:
    p = torch.softmax(n.predictor(f), 1)
    source, target = (torch.linalg.svdvals(part).sum() for part in (p[:N_SOURCE], p[N_SOURCE:]))
    return target / N_TARGET - source / N_SOURCE


def mcd(n: Networks, f: Tensor, alpha: float, labels: Tensor = LABELS) -> AdversarialLoss:
    return classifier_discrepancy_loss(n.predictor, n.second, f, labels, alpha)


def plain_mcd(n: Networks, f: Tensor) -> Tensor:
    one, two = (torch.softmax(head(f[N_SOURCE:]), 1) for head in (n.predictor, n.second))
    return -(one - two).abs().mean()


METHODS = [
    (dann, plain_dann),
    (cdan, plain_cdan),
    (cdan_e, plain_cdan_e),
    (mdd, plain_mdd),
    (daln, plain_daln),
    (mcd, plain_mcd),
]


def build(method: Callable[..., AdversarialLoss], seed: int = 0) -> tuple[Networks, Tensor, Tensor]:
    torch.manual_seed(seed)
    networks = Networks(WIDTH * CLASSES if method in (cdan, cdan_e) else WIDTH)
    return networks, torch.randn(len(LABELS), 4, dtype=torch.float64), torch.randint(CLASSES, (N_SOURCE,))


@pytest.mark.parametrize(("method", "plain"), METHODS)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_value_and_gradients(method, plain, alpha: float) -> None:
    """The adversary gets the true gradient, the extractor -alpha times it."""
    networks, x, _ = build(method)
    expected = plain(networks, networks.extractor(x))
    loss = method(networks, networks.extractor(x), alpha).loss
    assert loss.ndim == 0
    torch.testing.assert_close(loss, expected)
    names, parameters = zip(*networks.named_parameters(), strict=True)
    mine = torch.autograd.grad(loss, parameters, allow_unused=True)
    true = torch.autograd.grad(expected, parameters, allow_unused=True)
    reached = 0
    for name, a, b in zip(names, mine, true, strict=True):
        assert (a is None) == (b is None), name
        if b is not None:
            torch.testing.assert_close(a, b * (-alpha if name.startswith("extractor") else 1.0))
            reached += name.startswith("extractor") and bool(b.abs().sum() > 0)
    assert reached == 2


@pytest.mark.parametrize(("method", "plain"), METHODS)
def test_training_is_that_of_two_optimisers(method, plain) -> None:
    """Ten steps with one optimiser and the reversal, against one that descends and one that ascends without it."""
    alpha, lr, weight = 0.3, 0.1, 2.0
    networks, x, labels = build(method)
    reference = copy.deepcopy(networks)
    one = torch.optim.SGD(networks.parameters(), lr=lr, momentum=0.9)
    features = list(reference.extractor.parameters())
    heads = [p for name, p in reference.named_parameters() if not name.startswith("extractor")]
    climber, descender = (torch.optim.SGD(group, lr=lr, momentum=0.9) for group in (features, heads))
    for _ in range(10):
        f = networks.extractor(x)
        label_loss = F.cross_entropy(networks.predictor(f[:N_SOURCE]), labels)
        one.zero_grad()
        (label_loss + weight * method(networks, f, alpha).loss).backward()
        one.step()

        f = reference.extractor(x)
        label_loss = F.cross_entropy(reference.predictor(f[:N_SOURCE]), labels)
        adversarial = weight * plain(reference, f)
        for p, g in zip(
            features, torch.autograd.grad(label_loss - alpha * adversarial, features, retain_graph=True), strict=True
        ):
            p.grad = g
        grads = torch.autograd.grad(label_loss + adversarial, heads, allow_unused=True)
        for p, g in zip(heads, grads, strict=True):
            p.grad = g
        climber.step()
        descender.step()
    for a, b in zip(networks.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("method", "plain"), METHODS)
def test_the_order_of_samples_does_not_matter(method, plain) -> None:
    networks, x, _ = build(method)
    order = torch.randperm(len(LABELS), generator=torch.Generator().manual_seed(0))
    expected = method(networks, networks.extractor(x), 1.0).loss
    shuffled = method(networks, networks.extractor(x[order]), 1.0, LABELS[order]).loss
    torch.testing.assert_close(shuffled, expected)


@pytest.mark.parametrize(("method", "has_logits"), [(dann, 1), (cdan, 1), (cdan_e, 1), (mdd, 1), (daln, 0), (mcd, 0)])
def test_domain_logits(method, has_logits: int) -> None:
    networks, x, _ = build(method)
    logits = method(networks, networks.extractor(x), 1.0).domain_logits
    assert (logits is not None) == bool(has_logits)
    if logits is not None:
        assert logits.shape == LABELS.shape


def test_a_confused_classifier_reads_ln_2() -> None:
    assert domain_loss(torch.zeros(5), torch.tensor([0, 1, 1, 0, 1])).item() == pytest.approx(math.log(2))


def test_domain_labels_are_source_0_target_1() -> None:
    sure = torch.tensor([-20.0, 20.0])
    assert domain_loss(sure, torch.tensor([0, 1])).item() < 1e-6
    assert domain_loss(sure, torch.tensor([1, 0])).item() == pytest.approx(20.0)


@given(st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=1, max_size=20))
def test_domain_loss_against_numpy(pairs: list[tuple[float, bool]]) -> None:
    z, d = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs], dtype=float)
    expected = np.mean(np.logaddexp(0.0, z) - d * z)
    for dtype in (torch.float64, torch.int64, torch.bool):
        mine = domain_loss(torch.tensor(z), torch.tensor(d).to(dtype))
        assert mine.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_sum_of_two_means_is_twice_the_mean_of_equal_halves() -> None:
    z, d = torch.randn(8), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    torch.testing.assert_close(2 * domain_loss(z, d), domain_loss(z[:4], d[:4]) + domain_loss(z[4:], d[4:]))


def test_mdd_keeps_its_gradient_where_the_adversary_is_sure() -> None:
    """At p = 1 in floating point, log(1 - p) written naively is -inf and its gradient NaN."""
    logits = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    loss = margin_disparity_loss(lambda f: f, logits, torch.tensor([[9.0, 0.0, 0.0]]), torch.tensor([1])).loss
    assert loss.item() == pytest.approx(60.0 - math.log(2), abs=1e-3)
    (grad,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(grad, torch.tensor([[-1.0, 0.5, 0.5]]))  # reversed


def test_mdd_says_which_samples_it_takes_for_target() -> None:
    agree, disagree = [5.0, 0.0], [0.0, 5.0]
    result = margin_disparity_loss(
        lambda f: f, torch.tensor([agree, disagree]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1])
    )
    assert result.domain_logits is not None
    assert result.domain_logits.tolist() == [-5.0, 5.0]


@pytest.mark.parametrize(("method", "plain"), METHODS[1:])
def test_an_absent_domain_counts_nothing_and_breaks_nothing(method, plain) -> None:
    networks, x, _ = build(method)
    for value in (0, 1):
        loss = method(networks, networks.extractor(x), 1.0, torch.full_like(LABELS, value)).loss
        (grad,) = torch.autograd.grad(loss, networks.extractor[0].weight)
        assert torch.isfinite(loss)
        assert torch.isfinite(grad).all()


def test_half_precision() -> None:
    features = torch.randn(8, 4, dtype=torch.bfloat16, requires_grad=True)
    head = nn.Linear(4, 3).bfloat16()
    loss = nuclear_discrepancy_loss(head, features, torch.tensor([0, 1] * 4)).loss
    assert torch.isfinite(torch.autograd.grad(loss, features)[0]).all()


def test_the_map_is_random_above_4096() -> None:
    assert isinstance(build_multilinear_map(256, 16), MultilinearMap)
    assert isinstance(build_multilinear_map(256, 17), RandomisedMultilinearMap)
    one, two = (build_multilinear_map(2048, 31, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert one(torch.ones(2, 2048), torch.ones(2, 31)).shape == (2, 1024)
    assert all(torch.equal(a, b) for a, b in zip(one.buffers(), two.buffers(), strict=True))
    assert list(one.parameters()) == []
    assert set(one.state_dict()) == {"feature_matrix", "class_matrix"}


def test_the_random_map_keeps_inner_products_on_average() -> None:
    generator = torch.Generator().manual_seed(0)
    f, g = torch.randn(2, 20, generator=generator), torch.randn(2, 5, generator=generator)
    exact = MultilinearMap()(f, g)
    mapped = RandomisedMultilinearMap(20, 5, 200_000, generator=generator)(f, g)
    scale = exact[0].norm() * exact[1].norm()
    assert abs(mapped[0] @ mapped[1] - exact[0] @ exact[1]) < 0.03 * scale
    assert abs(mapped[0] @ mapped[0] - exact[0] @ exact[0]) < 0.03 * exact[0].norm() ** 2


def test_cdan_takes_the_random_map() -> None:
    networks, x, _ = build(dann)
    head = nn.Linear(16, 1).double()
    chosen = build_multilinear_map(WIDTH, CLASSES, limit=10, dimensions=16).double()
    features = networks.extractor(x)
    loss = conditional_domain_loss(head, features, networks.predictor(features), LABELS, multilinear_map=chosen).loss
    assert torch.isfinite(loss)


def test_no_gradient_reaches_the_class_predictions() -> None:
    for method in (cdan, cdan_e, mdd):
        networks, x, _ = build(method)
        loss = method(networks, networks.extractor(x), 1.0).loss
        grads = torch.autograd.grad(loss, list(networks.predictor.parameters()), allow_unused=True)
        assert all(grad is None for grad in grads), method


FEATURES, DOMAINS = torch.ones(4, 5), torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: domain_loss(torch.zeros(4, 1), DOMAINS), r"must both have shape \(N,\).*got \(4, 1\) and \(4,\)"),
        (lambda: domain_loss(torch.zeros(3), DOMAINS), r"got \(3,\) and \(4,\)"),
        (lambda: domain_loss(torch.zeros(0), torch.zeros(0)), r"N >= 1, got \(0,\) and \(0,\)"),
        (lambda: domain_adversarial_loss(nn.Linear(5, 2), FEATURES, DOMAINS), r"one logit per sample.*got \(4, 2\)"),
        (
            lambda: domain_adversarial_loss(nn.Linear(5, 1), FEATURES, DOMAINS[:3]),
            r"domain_labels must have shape \(N,\)",
        ),
        (lambda: domain_adversarial_loss(nn.Linear(5, 1), FEATURES, DOMAINS, -1.0), r"alpha must be finite and >= 0"),
        (
            lambda: conditional_domain_loss(nn.Linear(5, 1), FEATURES, torch.zeros(4), DOMAINS),
            r"label_logits must have shape \(4, C\) with C >= 2, got \(4,\)",
        ),
        (
            lambda: margin_disparity_loss(nn.Linear(5, 2), FEATURES, torch.zeros(4, 3), DOMAINS),
            r"adversary must return as many classes as label_logits has, 3, got 2",
        ),
        (
            lambda: margin_disparity_loss(nn.Linear(5, 3), FEATURES, torch.zeros(4, 3), DOMAINS, margin=0.0),
            r"margin must be finite and > 0, got 0.0",
        ),
        (lambda: nuclear_discrepancy_loss(nn.Linear(5, 1), FEATURES, DOMAINS), r"with C >= 2, got \(4, 1\)"),
        (
            lambda: classifier_discrepancy_loss(nn.Linear(5, 2), nn.Linear(5, 3), FEATURES, DOMAINS),
            r"first and second must return as many classes, got 2 and 3",
        ),
        (lambda: RandomisedMultilinearMap(0, 3), r"features must be an integer >= 1, got 0"),
        (lambda: build_multilinear_map(3, 3, limit=0), r"limit must be an integer >= 1, got 0"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
