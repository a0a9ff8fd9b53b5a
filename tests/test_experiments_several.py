"""Several sources or targets; every gradient of a step against the formulas in plain torch, whatever the domains."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from datasets import Batch, DatasetError, Labelled, LabelledBatch, Unlabelled, add_domain, by_domain, load_pair
from datasets import pair_fingerprint as fingerprint_of
from experiments.methods import mean_of_training, open_splits
from experiments.methods.cdan import CDAN
from experiments.methods.dann import DANN
from experiments.networks import build_networks
from experiments.networks.mlp import MLP
from experiments.training.together import can_be_together
from tests.support.trainings import BY_STEPS, CPU, feature_pair, small_moons, train_alone

ALPHA, CLASSES, SIZE = 0.7, 3, 6

# One step of every method, written out


def turn(features: torch.Tensor) -> torch.Tensor:
    """The identity whose gradient comes back times -alpha."""
    return (1 + ALPHA) * features.detach() - ALPHA * features


def cross_entropy(logits, labels):
    return -(logits - logits.logsumexp(1, keepdim=True))[torch.arange(len(labels)), labels]


def tell_domains(logits, domains):
    """The loss of each sample: of one logit against source or target, of K against its domain."""
    if logits.ndim == 2:
        return cross_entropy(logits, domains)
    return -torch.where(domains == 1, logits.sigmoid().log(), (1 - logits.sigmoid()).log())


def added_by(method, networks, features, logits, domains, sources):
    """What a method adds to the label loss, by its paper."""
    heads, is_source = networks.heads, domains < sources
    f, p = turn(features), logits.softmax(1).detach()
    if method.name == "dann":
        return method.domain_weight * tell_domains(heads["domain_classifier"](f), domains).mean()
    if method.name == "cdan":
        # Long et al. (2018), equation 9: every domain's weighted mean counts the same.
        joint = torch.stack([torch.outer(*each).flatten() for each in zip(features, p, strict=True)])
        each = tell_domains(heads["domain_classifier"](turn(joint)), domains)
        weights = 1 + (p * p.log()).sum(1).exp() if method.entropy else torch.ones(len(p), dtype=p.dtype)
        means = [(weights * each)[domains == one].sum() / weights[domains == one].sum() for one in domains.unique()]
        return method.domain_weight * sum(means) / len(means)
    if method.name == "mdd":
        y, q = logits.argmax(1), heads["adversary"](f).softmax(1)
        q = q[torch.arange(len(y)), y]
        return method.domain_weight * (-method.margin * q[is_source].log().mean() - (1 - q[~is_source]).log().mean())
    if method.name == "mcd":
        first, second = (part(f).softmax(1) for part in (networks.label_predictor, heads["second_predictor"]))
        return -method.domain_weight * (first - second).abs()[~is_source].mean()
    if method.name == "daln":
        q = networks.label_predictor(f).softmax(1)
        norms = [torch.linalg.svdvals(q[which]).sum() / which.sum() for which in (is_source, ~is_source)]
        return -method.domain_weight * (norms[0] - norms[1])
    source, target = features[is_source], features[~is_source]
    if method.name == "coral":
        return (torch.cov(source.T) - torch.cov(target.T)).square().sum() / (4 * features.shape[1] ** 2)
    if method.name == "mmd":
        apart = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist").square()
        mean, off = apart.mean().detach(), 1 - torch.eye(len(features), dtype=features.dtype)
        k = sum(torch.exp(-apart / (2 * width * mean)) for width in (0.25, 0.5, 1, 2, 4)) / 5
        s, t = is_source.to(k), (~is_source).to(k)
        n, m = s.sum(), t.sum()
        return s @ (k * off) @ s / (n * (n - 1)) + t @ (k * off) @ t / (m * (m - 1)) - 2 * s @ k @ t / (n * m)
    if method.name == "mcc":
        q = (logits[~is_source] / 2.5).softmax(1)
        weights = (1 + (q * q.log()).sum(1).exp()).detach()
        c = torch.einsum("ni,n,nj->ij", q, len(q) * weights / weights.sum(), q)
        c = c / c.sum(1, keepdim=True)
        return (c.sum() - c.diagonal().sum()) / CLASSES
    if method.name == "bnm":
        q = logits[~is_source].softmax(1)
        return -torch.linalg.matrix_norm(q, ord="nuc") / len(q)
    return torch.zeros((), dtype=features.dtype)


STEPS = {name: method() for name, method in BY_STEPS.items() if name != "target_only"} | {
    "cdan+e": CDAN(entropy=True), "dann separate": DANN(batch_norm="separate"),
}  # fmt: skip


@pytest.mark.parametrize(("sources", "targets"), [(1, 1), (2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("name", STEPS)
def test_every_gradient_of_a_step_is_that_of_the_formulas(name, sources, targets):
    method = STEPS[name]
    networks = build_networks(
        MLP(hidden=(5,)), method.heads, shape=(4,), classes=CLASSES, seed=1, domains=sources + targets
    ).double()
    random = torch.Generator().manual_seed(sources * 10 + targets)
    inputs = [torch.randn(SIZE, 4, dtype=torch.float64, generator=random) + k for k in range(sources + targets)]
    labels = torch.randint(0, CLASSES, (sources, SIZE), generator=random)
    batches = {f"source {k}": LabelledBatch(inputs[k], labels[k]) for k in range(sources)}
    if method.reads == "source and target":
        batches |= {f"target {k}": Batch(inputs[k]) for k in range(sources, sources + targets)}
    losses = method.losses(
        networks,
        method.forward(networks, batches),
        **{name: ALPHA if name == "alpha" else 1.0 for name in method.schedules},
    )
    weights = dict(networks.named_parameters())
    found = torch.autograd.grad(losses.objective, [*weights.values()], allow_unused=True)

    features = networks.feature_extractor(torch.cat([batch.inputs for batch in batches.values()]))
    domains = torch.arange(len(batches)).repeat_interleave(SIZE)
    of_source, label_values = features[: sources * SIZE], labels.flatten()
    expected_loss = cross_entropy(networks.label_predictor(of_source), label_values).mean()
    if method.name == "mcd":
        expected_loss = (
            expected_loss + cross_entropy(networks.heads["second_predictor"](of_source), label_values).mean()
        )
    expected_loss = expected_loss + added_by(
        method, networks, features, networks.label_predictor(features), domains, sources
    )
    assert losses.objective.item() == pytest.approx(expected_loss.item(), rel=1e-9)
    expected = torch.autograd.grad(expected_loss, [*weights.values()], allow_unused=True)
    for part, mine, theirs in zip(weights, found, expected, strict=True):
        zero = torch.zeros_like(weights[part])
        torch.testing.assert_close(
            zero if mine is None else mine, zero if theirs is None else theirs, rtol=1e-7, atol=1e-10, msg=part
        )


def test_a_silent_classifier_of_three_domains_reads_ln_3():
    networks = build_networks(MLP(hidden=(5,)), DANN().heads, shape=(4,), classes=3, seed=1, domains=3)
    for parameter in networks.heads.parameters():
        nn.init.zeros_(parameter)
    batches = {
        "source 1": LabelledBatch(torch.randn(4, 4), torch.arange(4) % 3),
        "source 2": LabelledBatch(torch.randn(4, 4), torch.arange(4) % 3),
    }
    passed = DANN().forward(networks, batches | {"target": Batch(torch.randn(4, 4))})
    assert passed.domain_labels.tolist() == [0.0] * 4 + [1.0] * 4 + [2.0] * 4
    losses = DANN().losses(networks, passed, alpha=1.0)
    assert losses.curves["domain_loss"].item() == pytest.approx(math.log(3))
    assert losses.curves["domain_accuracy"].item() == pytest.approx(1 / 3)
    assert losses.domain_logits.shape == (12, 3)


# Training


def several_pair(sources: int = 2, targets: int = 1):
    """Random features of several domains in three classes."""
    pair = feature_pair(5)

    def spread(split, count):
        domains = torch.arange(count).repeat_interleave(len(split) // count)
        return dataclasses.replace(split, inputs=split.inputs + domains[:, None], domains=domains)

    return dataclasses.replace(pair, source=spread(pair.source, sources), target=spread(pair.target, targets))


@pytest.mark.parametrize("name", BY_STEPS)
def test_every_method_trains_on_two_sources_and_two_targets(name):
    pair = several_pair(2, 2)
    recipe = small_moons(method=name, network=MLP(hidden=(6,)), pair="a+b_to_c+d", steps=20, batch_size=8)
    assert not can_be_together(recipe, CPU)
    trained = train_alone(recipe, pair)
    losses = [values["label_loss"] for _, values in trained.points() if "label_loss" in values]
    assert losses[-1] < losses[0]
    assert all(verdict.healthy or verdict.status == "inconclusive" for _, verdict in trained.notes.verdicts)
    assert train_alone(recipe, pair, states=trained.states[10]).digest() == trained.digest()


def test_every_domain_gives_as_many_samples_and_has_its_own_order():
    pair, seen = several_pair(2, 1), []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Watching(DANN):
        name = "watching"

        def forward(self, networks, batches):
            seen.append({domain: batch.inputs for domain, batch in batches.items()})
            return super().forward(networks, batches)

    train_alone(small_moons(method=Watching(), network=MLP(hidden=(6,)), pair="a+b_to_c", steps=3, batch_size=8), pair)
    assert [*seen[0]] == ["source 1", "source 2", "target"]
    assert all(len(inputs) == 4 for inputs in seen[0].values())
    mean = mean_of_training("source and target", pair)
    for domain, split in zip(seen[0], (*by_domain(pair.source), pair.target), strict=True):
        own = {tuple(np.round(row, 4)) for row in (split.inputs - mean).numpy()}
        assert {tuple(np.round(row, 4)) for row in seen[0][domain].numpy()} <= own


def test_the_mean_counts_every_domain_the_same():
    pair = several_pair(2, 1)
    expected = torch.stack([split.inputs.mean(0) for split in (*by_domain(pair.source), pair.target)]).mean(0)
    torch.testing.assert_close(mean_of_training("source and target", pair), expected)
    assert [*open_splits("source", pair)] == ["source 1", "source 2"]


# Pairs by name


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("GRL_PREPARED", str(tmp_path / "prepared"))
    monkeypatch.setenv("GRL_DATA", str(tmp_path / "data"))
    for number, (name, classes) in enumerate(
        {"ink": "abc", "pen": "abc", "film": "abc", "part": "ca", "more": "abcd"}.items()
    ):
        random = np.random.default_rng(number)
        arrays = {
            f"{split}inputs": random.normal(size=(count, 2)).astype(np.float32)
            for split, count in (("", 12), ("test_", 6))
        }
        arrays |= {"labels": np.arange(12) % len(classes), "test_labels": np.arange(6) % len(classes)}
        np.savez(tmp_path / f"{name}.npz", **arrays, class_names=np.array([*classes]))
        add_domain(name, tmp_path / f"{name}.npz")


def test_a_pair_of_several_holds_one_domain_after_the_other(own):
    pair, first, second = load_pair("ink+pen_to_film"), load_pair("ink_to_film"), load_pair("pen_to_film")
    assert (pair.title, pair.source_name, pair.domains) == ("ink + pen → film", "ink + pen", 3)
    assert torch.equal(pair.source.inputs, torch.cat([first.source.inputs, second.source.inputs]))
    assert [len(split) for split in by_domain(pair.source)] == [12, 12]
    assert by_domain(pair.source)[1].inputs.data_ptr() == pair.source.inputs[12:].data_ptr()  # no copy
    assert torch.equal(pair.evaluation.target_test.inputs, first.evaluation.target_test.inputs)
    assert "2 source and 1 target domains, each with a domain label of its own" in pair.protocol
    assert pair.fingerprint == fingerprint_of("ink+pen_to_film") != load_pair("pen+ink_to_film").fingerprint
    turned = load_pair("film_to_ink+pen")
    assert isinstance(turned.target, Unlabelled)
    assert not hasattr(turned.target, "labels")
    assert len(turned.evaluation.target_test) == 12
    assert isinstance(turned.reveal_target_labels("target_only"), Labelled)


def test_a_target_may_lack_classes_and_the_protocol_says_so(own):
    pair = load_pair("ink_to_part")
    assert pair.class_names == ("a", "b", "c")
    assert pair.evaluation.target_test.labels.tolist() == [2, 0, 2, 0, 2, 0]  # part counts c, a
    assert "partial: part has 2 of the 3 classes, c, a" in pair.protocol
    assert pair.conversions == ()
    assert "partial" not in load_pair("ink_to_film").protocol


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ink+ink_to_film", r"pair 'ink\+ink_to_film' must name each domain of a side once, got 'ink' 2 times"),
        ("ink+nothing_to_film", "domain 'nothing' is unknown"),
        ("ink+_to_film", "domain '' is unknown"),
        ("ink+moons_to_mnist", r"shapes do not fit: ink has \(2,\), mnist has"),
        ("ink_to_more", "classes differ, ink has a, b, c; more has a, b, c, d"),
        ("ink+part_to_film", "classes differ, ink has a, b, c; part has c, a"),
    ],
)
def test_bad_names_and_sets_are_one_line(own, name, message):
    with pytest.raises(DatasetError, match=message) as caught:
        load_pair(name)
    assert "\n" not in str(caught.value)
