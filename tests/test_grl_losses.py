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
    attribute_adversarial_loss,
    build_multilinear_map,
    classifier_discrepancy_loss,
    conditional_domain_loss,
    domain_adversarial_loss,
    margin_disparity_loss,
    nuclear_discrepancy_loss,
    several_adversarial_losses,
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


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_the_weights_of_cdan_e_pass_a_gradient_on_where_asked(alpha: float, scale: float) -> None:
    """Through a sample's weight, reversed, into predictor and extractor; not through a domain's sum of weights."""
    networks, x, _ = build(cdan_e)
    with torch.no_grad():
        networks.predictor.weight.mul_(scale)  # sure predictions have no entropy, and a gradient all the same
    features = networks.extractor(x)
    arguments = (networks.domain_classifier, features, networks.predictor(features), LABELS, alpha)
    loss = conditional_domain_loss(*arguments, entropy_weights=True, entropy_gradient=True).loss
    assert torch.equal(loss, conditional_domain_loss(*arguments, entropy_weights=True).loss)

    features = networks.extractor(x)
    mapped, _ = outer(networks, features)
    p = torch.sigmoid(networks.domain_classifier(mapped)).squeeze(1)
    errors = -torch.log(torch.where(LABELS == 1, p, 1 - p))
    g = networks.predictor(features).log_softmax(1)
    w = 1 + torch.exp((g.exp() * g).sum(1))
    true_loss = sum((w[part] * errors[part]).sum() / w[part].sum().detach() for part in (slice(6), slice(6, None))) / 2
    names, parameters = zip(*networks.named_parameters(), strict=True)
    mine = torch.autograd.grad(loss, parameters, allow_unused=True)
    true = torch.autograd.grad(true_loss, parameters, allow_unused=True)
    for name, a, b in zip(names, mine, true, strict=True):
        assert (a is None) == (b is None), name
        if b is not None:
            torch.testing.assert_close(a, b * (1.0 if name.startswith("domain") else -alpha))
            assert b.abs().sum() > 0 or scale > 1


@pytest.mark.parametrize("ruled_out", [[2], [0, 2]])
def test_a_class_that_is_ruled_out_has_no_gradient_and_breaks_none(ruled_out: list[int]) -> None:
    """A label logit of -inf, as of a class that is masked out: the loss and the gradients of those that are left."""
    torch.manual_seed(0)
    features, head, left = torch.randn(4, 5), nn.Linear(15, 1), [c for c in range(3) if c not in ruled_out]
    logits = torch.randn(4, 3).requires_grad_()
    masked = logits.index_fill(1, torch.tensor(ruled_out), -math.inf)

    def run(logits: Tensor, columns: list[int]) -> Tensor:
        def narrow(f: Tensor) -> Tensor:
            return F.linear(f, head.weight.view(5, 3)[:, columns].reshape(1, -1), head.bias)

        arguments = (narrow, features, logits, DOMAINS, 0.7)
        plain = conditional_domain_loss(*arguments, entropy_weights=True).loss
        found = conditional_domain_loss(*arguments, entropy_weights=True, entropy_gradient=True).loss
        assert torch.equal(found, plain)
        return found

    found = run(masked, [0, 1, 2])
    (grad,) = torch.autograd.grad(found, logits)
    assert grad[:, ruled_out].eq(0.0).all()
    if len(left) > 1:
        alone = logits[:, left]
        expected = run(alone, left)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(grad, torch.autograd.grad(expected, logits)[0])
    else:
        assert grad.eq(0.0).all()


def test_a_gradient_of_weights_needs_weights() -> None:
    networks, x, _ = build(cdan_e)
    features = networks.extractor(x)
    with pytest.raises(ValueError, match="entropy_gradient needs entropy_weights, got entropy_weights=False"):
        conditional_domain_loss(
            networks.domain_classifier, features, networks.predictor(features), LABELS, entropy_gradient=True
        )


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


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
def test_the_nuclear_discrepancy_of_what_is_not_finite_is_nan(wrong) -> None:
    features = torch.randn(8, 4)
    features[5, 1] = wrong
    head, labels = nn.Linear(4, 3), torch.tensor([0, 1] * 4)
    assert nuclear_discrepancy_loss(head, features, labels).loss.isnan()
    several = torch.stack([torch.randn(8, 4), features])
    losses = torch.vmap(lambda each: nuclear_discrepancy_loss(head, each, labels).loss)(several)
    assert losses.isfinite().tolist() == [True, False]


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
        (
            lambda: domain_loss(torch.zeros(4, 1), DOMAINS),
            r"domain_logits must have shape \(N,\) or \(N, K\), K >= 2.*got \(4, 1\) and \(4,\)",
        ),
        (lambda: domain_loss(torch.zeros(()), torch.zeros(())), r"got \(\) and \(\)"),
        (lambda: domain_loss(torch.zeros(3), DOMAINS), r"got \(3,\) and \(4,\)"),
        (lambda: domain_loss(torch.zeros(0), torch.zeros(0)), r"N >= 1, got \(0,\) and \(0,\)"),
        (
            lambda: domain_adversarial_loss(lambda f: f.sum(), FEATURES, DOMAINS),
            r"domain_classifier must return one logit per sample, \(4,\) or \(4, 1\), or .* \(4, K\), got \(\)",
        ),
        (
            lambda: domain_adversarial_loss(nn.Linear(5, 1), FEATURES, DOMAINS, mask=torch.ones(3, dtype=torch.bool)),
            r"mask must have the shape of domain_labels, .*got \(3,\) for domain_labels of shape \(4,\)",
        ),
        (
            lambda: conditional_domain_loss(nn.Linear(5, 1), FEATURES[:, None], torch.zeros(4, 1, 3), DOMAINS),
            r"features must have one more dimension than domain_labels, .* got \(4, 1, 5\) for \(4,\)",
        ),
        (
            lambda: conditional_domain_loss(nn.Linear(5, 1), FEATURES, torch.zeros(4, 3), DOMAINS),
            r"domain_classifier must take the mapped features, 15 wide .* got one for the features alone, 5 wide",
        ),
        (
            lambda: margin_disparity_loss(nn.Linear(5, 3), FEATURES, torch.zeros(4, 3), DOMAINS, sources=0),
            r"sources must be an integer >= 1, got 0",
        ),
        (
            lambda: attribute_adversarial_loss(nn.Linear(5, 2), FEATURES, DOMAINS),
            r"regressor must return one estimate per sample, \(4,\) or that and 1, got \(4, 2\)",
        ),
        (lambda: attribute_adversarial_loss(nn.Linear(5, 1), FEATURES, DOMAINS[:3]), r"attribute must have shape"),
        (
            lambda: several_adversarial_losses({"a": lambda f, a: None}, FEATURES, {"b": 1.0}),
            r"alphas must have the names of terms, \['a'\], at least one, got \['b'\]",
        ),
        (lambda: several_adversarial_losses({}, FEATURES, {}), r"at least one, got \[\]"),
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


# Domain labels: one rule for all losses


torch.manual_seed(0)
HEADS = nn.ModuleDict(
    {"single": nn.Linear(5, 1), "wide": nn.Linear(15, 1), "first": nn.Linear(5, 3), "second": nn.Linear(5, 3)}
)
LOSSES = ["domain_loss", "dann", "cdan", "cdan+e", "mdd", "daln", "mcd"]


def run_loss(name: str, features: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    """One loss of these features, (N, 5) or (N, T, 5), with heads that are always the same."""
    heads = copy.deepcopy(HEADS).to(features.dtype)
    single, wide, first, second = heads.values()
    match name:
        case "domain_loss":
            return domain_loss(single(features).squeeze(-1), labels, mask=mask)
        case "dann":
            return domain_adversarial_loss(single, features, labels, mask=mask).loss
        case "cdan" | "cdan+e":
            weighted = name == "cdan+e"
            return conditional_domain_loss(
                wide, features, first(features), labels, mask=mask, entropy_weights=weighted
            ).loss
        case "mdd":
            return margin_disparity_loss(second, features, first(features), labels, mask=mask).loss
        case "daln":
            return nuclear_discrepancy_loss(first, features, labels, mask=mask).loss
        case _:
            return classifier_discrepancy_loss(first, second, features, labels, mask=mask).loss


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("wrong", "printed"),
    [
        (torch.tensor([0, 0, 1, 2]), "2"),
        (torch.tensor([0, 255, 1, 1], dtype=torch.uint8), "255"),
        (torch.tensor([0, 0, 1, -1]), "-1"),
        (torch.tensor([0, 0, 1, -100]), "-100"),
        (torch.tensor([0.0, 0.0, 1.0, math.nan]), "nan"),
        (torch.tensor([0.0, 0.5, 1.0, 1.0]), "0.5"),
        (torch.tensor([0.0, 0.0, math.inf, 1.0], dtype=torch.float16), "inf"),
    ],
)
def test_labels_out_of_range_are_refused(loss: str, wrong: Tensor, printed: str) -> None:
    with pytest.raises(ValueError, match=rf"domain_labels must be integers from 0 to 1, got {printed}$"):
        run_loss(loss, FEATURES, wrong)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("wrong", [2.0, -1.0, math.nan, 0.5])
def test_labels_that_cannot_be_read_make_the_loss_nan(loss: str, wrong: float) -> None:
    """Under a transform, as on an accelerator, no value is waited for."""
    rows = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, wrong]])
    right, poisoned = torch.func.vmap(lambda labels: run_loss(loss, FEATURES, labels))(rows)
    torch.testing.assert_close(right, run_loss(loss, FEATURES, DOMAINS))
    assert poisoned.isnan()


def test_labels_in_a_compiled_program() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(lambda z, d: domain_loss(z, d), backend="aot_eager", fullgraph=True)
    assert compiled(torch.zeros(4), DOMAINS).item() == pytest.approx(math.log(2))
    assert compiled(torch.zeros(4), torch.tensor([0, 0, 1, 255])).isnan()
    assert compiled(torch.zeros(4, 3), torch.tensor([0, 0, 1, 2])).item() == pytest.approx(math.log(3))
    assert compiled(torch.zeros(4, 3), torch.tensor([0, 0, 1, -100])).isnan()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.float16, torch.float64])
def test_labels_of_any_dtype(loss: str, dtype: torch.dtype) -> None:
    torch.testing.assert_close(run_loss(loss, FEATURES, DOMAINS.to(dtype)), run_loss(loss, FEATURES, DOMAINS))


# Half precision: sums over samples


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("autocast", [True, False])
def test_many_samples_in_half_precision(loss: str, dtype: torch.dtype, autocast: bool) -> None:
    """70,000 samples of a domain, as in segmentation: more than float16 counts."""
    features = torch.randn(16, 5, generator=torch.Generator().manual_seed(0)).repeat(8750, 1)
    labels = torch.tensor([0, 1]).repeat_interleave(8).repeat(8750)
    expected = run_loss(loss, features[:16], labels[:16])
    if autocast:
        with torch.autocast("cpu", dtype=dtype):
            found = run_loss(loss, features, labels)
    else:
        found = run_loss(loss, features.to(dtype), labels)
    assert found.dtype == torch.float32
    if loss == "daln":  # a norm of N rows, over N: that of n rows is sqrt(N / n) greater
        expected = expected / math.sqrt(8750)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05 * expected.abs().item())


# K domains


@given(
    rows=st.lists(st.tuples(st.lists(st.floats(-30, 30), min_size=4, max_size=4), st.integers(0, 3)), min_size=1),
)
def test_k_domains_against_torch(rows: list[tuple[list[float], int]]) -> None:
    logits = torch.tensor([row[0] for row in rows], dtype=torch.float64)
    labels = torch.tensor([row[1] for row in rows])
    torch.testing.assert_close(domain_loss(logits, labels), F.cross_entropy(logits, labels))


@pytest.mark.parametrize("domains", [2, 3, 7])
def test_chance_is_ln_k(domains: int) -> None:
    labels = torch.arange(domains)
    assert domain_loss(torch.zeros(domains, domains), labels).item() == pytest.approx(math.log(domains))


def test_two_domains_as_two_logits_are_the_one_logit() -> None:
    z, d = torch.randn(8), torch.tensor([0, 1] * 4)
    torch.testing.assert_close(domain_loss(torch.stack([torch.zeros(8), z], 1), d), domain_loss(z, d))


@pytest.mark.parametrize(("conditional", "entropy_weights"), [(False, False), (True, False), (True, True)])
def test_k_domains_reversed(conditional: bool, entropy_weights: bool) -> None:
    """Against a loop over domains written from the formula; the features get -alpha times its gradient."""
    torch.manual_seed(0)
    alpha, domains = 0.3, 3
    x = torch.randn(10, 5, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(10, 4, dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2, 2])
    head = nn.Linear(20 if conditional else 5, domains).double()
    g = logits.softmax(1)
    if conditional:
        found = conditional_domain_loss(head, x, logits, labels, alpha, entropy_weights=entropy_weights)
        seen = torch.einsum("nf,nc->nfc", x, g).flatten(1)
    else:
        found, seen = domain_adversarial_loss(head, x, labels, alpha), x
    losses = -torch.log(head(seen).softmax(1))[range(10), labels]
    if entropy_weights:
        w = 1 + torch.exp((g * g.log()).sum(1))
        parts = [(w * losses)[labels == k].sum() / w[labels == k].sum() for k in range(domains)]
        expected = sum(parts) / domains
    else:
        expected = losses.mean()
    assert found.domain_logits is not None
    assert found.domain_logits.shape == (10, domains)
    torch.testing.assert_close(found.loss, expected)
    mine = torch.autograd.grad(found.loss, [x, head.weight])
    true = torch.autograd.grad(expected, [x, head.weight])
    torch.testing.assert_close(mine[0], -alpha * true[0])
    torch.testing.assert_close(mine[1], true[1])


@pytest.mark.parametrize("loss", ["mdd", "daln", "mcd"])
def test_several_sources_and_targets_are_taken_together(loss: str) -> None:
    torch.manual_seed(0)
    features, logits = torch.randn(9, 5), torch.randn(9, 3)
    first, second = nn.Linear(5, 3), nn.Linear(5, 3)
    run = {
        "mdd": lambda y, **k: margin_disparity_loss(first, features, logits, y, **k).loss,
        "daln": lambda y, **k: nuclear_discrepancy_loss(first, features, y, **k).loss,
        "mcd": lambda y, **k: classifier_discrepancy_loss(first, second, features, y, **k).loss,
    }[loss]
    many, two = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2, 3]), torch.tensor([0, 0, 0, 1, 1, 0, 0, 0, 1])
    assert torch.equal(run(many, sources=3, targets=2), run(two))
    with pytest.raises(ValueError, match="domain_labels must be integers from 0 to 3, got 4"):
        run(many, sources=3)


# Masks


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("filler", [0.0, 1e30, math.nan, math.inf])
def test_padding_counts_nothing(loss: str, filler: float) -> None:
    """Sequences of other lengths: the loss and the gradient of their steps in one row."""
    torch.manual_seed(1)
    lengths = torch.tensor([3, 1, 4, 2])
    mask = torch.arange(4) < lengths[:, None]  # (N, T)
    x = torch.randn(4, 4, 5, dtype=torch.float64)
    padded = torch.where(mask.unsqueeze(-1), x, filler).requires_grad_()
    flat = x[mask].requires_grad_()
    rows = DOMAINS.unsqueeze(1).expand(4, 4)
    expected = run_loss(loss, flat, rows[mask])
    found = run_loss(loss, padded, DOMAINS if loss != "domain_loss" else rows, mask)
    torch.testing.assert_close(found, expected)
    (grad,) = torch.autograd.grad(found, padded)
    torch.testing.assert_close(grad[mask], torch.autograd.grad(expected, flat)[0])
    if math.isfinite(filler):  # 0 · NaN is not ours: a head multiplies what is in the padding by its weights
        assert torch.equal(grad[~mask], torch.zeros_like(grad[~mask]))


def test_labels_in_the_padding_may_be_anything() -> None:
    mask = torch.tensor([True, True, False, False])
    ignored = domain_loss(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0, 1, -100, 7]), mask=mask)
    torch.testing.assert_close(ignored, domain_loss(torch.tensor([1.0, 2.0]), torch.tensor([0, 1])))
    assert domain_loss(torch.ones(2), torch.tensor([0, 1]), mask=torch.zeros(2, dtype=torch.bool)) == 0.0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_mask_is_bool(loss: str) -> None:
    for kind in (torch.int64, torch.float32, torch.uint8):
        with pytest.raises(TypeError, match=rf"mask must be of dtype bool, .* got {kind}"):
            run_loss(loss, FEATURES, DOMAINS, mask=torch.ones(4, dtype=kind))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shape", [(1,), (4, 1), (1, 4), (3,), ()])
def test_a_mask_has_the_shape_of_the_samples(loss: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"(mask|domain_labels) must have (the )?shape"):
        run_loss(loss, FEATURES, DOMAINS, mask=torch.ones(shape, dtype=torch.bool))


def test_the_mask_of_a_domain_loss_is_not_spread() -> None:
    for logits in (torch.zeros(4), torch.zeros(4, 3)):
        for shape in ((1,), (4, 1), (4, 3)):
            with pytest.raises(ValueError, match=r"mask must have the shape of domain_labels, \(4,\), got \("):
                domain_loss(logits, DOMAINS, mask=torch.ones(shape, dtype=torch.bool))


OTHERS = ([0.0, 0.0, 1.0, 1.0], np.array([0.0, 0.0, 1.0, 1.0]), None, 1.0)


@pytest.mark.parametrize("other", OTHERS, ids=["list", "NumPy", "None", "number"])
def test_what_is_no_tensor_is_said(other: object) -> None:
    one, ones = nn.Linear(5, 1), torch.ones(4)
    calls = [
        ("domain_logits", lambda: domain_loss(other, DOMAINS)),
        ("domain_labels", lambda: domain_loss(ones, other)),
        ("domain_labels", lambda: domain_adversarial_loss(one, FEATURES, other)),
        ("features", lambda: domain_adversarial_loss(one, other, DOMAINS)),
        (r"domain_classifier\(features\)", lambda: domain_adversarial_loss(lambda f: other, FEATURES, DOMAINS)),
        ("label_logits", lambda: conditional_domain_loss(one, FEATURES, other, DOMAINS)),
        ("label_logits", lambda: margin_disparity_loss(one, FEATURES, other, DOMAINS)),
        (r"label_predictor\(features\)", lambda: nuclear_discrepancy_loss(lambda f: other, FEATURES, DOMAINS)),
        (r"first\(features\)", lambda: classifier_discrepancy_loss(lambda f: other, one, FEATURES, DOMAINS)),
        ("attribute", lambda: attribute_adversarial_loss(one, FEATURES, other)),
        (r"regressor\(features\)", lambda: attribute_adversarial_loss(lambda f: other, FEATURES, ones)),
    ]
    if other is not None:
        calls += [
            ("mask", lambda: domain_loss(ones, DOMAINS, mask=other)),
            ("mask", lambda: domain_adversarial_loss(one, FEATURES, DOMAINS, mask=other)),
        ]
    for name, call in calls:
        with pytest.raises(TypeError, match=f"^{name} must be a tensor, got {type(other).__name__}$"):
            call()


@pytest.mark.parametrize("other", [torch.tensor(1.0), 1.0, None], ids=["tensor", "number", "None"])
def test_a_term_returns_an_adversarial_loss(other: object) -> None:
    with pytest.raises(TypeError, match=f"term 'age' must return an AdversarialLoss, got {type(other).__name__}"):
        several_adversarial_losses({"age": lambda f, alpha: other}, FEATURES, {"age": 1.0})  # pyright: ignore


# Several adversaries, and a real-valued attribute


def test_a_real_valued_attribute() -> None:
    torch.manual_seed(0)
    x, s = torch.randn(6, 5, requires_grad=True), torch.linspace(-1, 1, 6)
    head = nn.Linear(5, 1)
    loss = attribute_adversarial_loss(head, x, s, 0.3).loss
    expected = F.mse_loss(head(x).squeeze(1), s)
    torch.testing.assert_close(loss, expected)
    mine, true = (torch.autograd.grad(v, [x, head.weight]) for v in (loss, expected))
    torch.testing.assert_close(mine[0], -0.3 * true[0])
    torch.testing.assert_close(mine[1], true[1])
    blind = attribute_adversarial_loss(lambda f: f[:, 0] * 0 + s.mean(), x, s).loss
    torch.testing.assert_close(blind, s.var(correction=0))
    mask = torch.tensor([True, False] * 3)
    torch.testing.assert_close(
        attribute_adversarial_loss(head, x, s, mask=mask).loss, F.mse_loss(head(x[mask]).squeeze(1), s[mask])
    )


def test_several_adversaries_have_an_alpha_each() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 5, requires_grad=True)
    one, two = nn.Linear(5, 1), nn.Linear(5, 3)
    speakers = torch.tensor([0, 2, 1, 0])
    terms = {
        "domain": lambda f, a: domain_adversarial_loss(one, f, DOMAINS, a),
        "speaker": lambda f, a: domain_adversarial_loss(two, f, speakers, a),
    }
    found = several_adversarial_losses(terms, x, {"domain": 0.3, "speaker": torch.tensor(2.0)})
    plain = domain_loss(one(x).squeeze(1), DOMAINS), domain_loss(two(x), speakers)
    torch.testing.assert_close(found.loss, plain[0] + plain[1])
    torch.testing.assert_close(found.each["speaker"].loss, plain[1])
    (grad,) = torch.autograd.grad(found.loss, x, retain_graph=True)
    true = [torch.autograd.grad(p, x, retain_graph=True)[0] for p in plain]
    torch.testing.assert_close(grad, -0.3 * true[0] - 2.0 * true[1])
    torch.testing.assert_close(
        torch.autograd.grad(found.loss, two.weight, retain_graph=True), torch.autograd.grad(plain[1], two.weight)
    )
