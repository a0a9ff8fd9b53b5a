"""Many runs as one program: the numbers of the plain loop, the same bits in any company, states that fit both."""

import dataclasses
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from experiments.methods.bnm import BNM
from experiments.methods.cdan import CDAN
from experiments.methods.daln import DALN
from experiments.methods.dann import DANN
from experiments.methods.mdd import MDD
from experiments.networks import NETWORKS, build_networks
from experiments.networks.mlp import MLP
from experiments.networks.shallow import Shallow
from experiments.optimisers import SGD, Adam
from experiments.training import together as module
from experiments.training.evaluation import Samples, evaluate
from experiments.training.loop import train
from experiments.training.together import Together, can_be_together, group_of
from grl.schedules import Constant, Ganin, Linear, Schedule
from tests.support.trainings import (
    BY_STEPS,
    CPU,
    ROUNDING,
    Notes,
    feature_pair,
    small_moons,
    train_alone,
    train_together,
)

ALPHAS = (Constant(value=0.3), Ganin())
# Every method at its defaults, and those with fields of their own.
METHODS_AND_FIELDS = {name: method() for name, method in BY_STEPS.items()} | {
    "cdan+e": CDAN(entropy=True),
    "mdd margin": MDD(margin=2.0, domain_weight=0.5),
    "separate": DANN(batch_norm="separate"),
}

WITH_OPTIMISERS = {name: (method, SGD(momentum=0.9)) for name, method in METHODS_AND_FIELDS.items()} | {
    f"{name} adam": (METHODS_AND_FIELDS[name], Adam()) for name in ("dann", "mcd")
}


def grid(alphas=ALPHAS, seeds=(0, 1), **changes) -> list:
    return [small_moons(alpha=alpha, seed=seed, **changes) for alpha in alphas for seed in seeds]


def seeds_of(method, count=3, **changes) -> list:
    return [small_moons(method=method, seed=seed, **changes) for seed in range(count)]


def expect_alike(trained, experiments, pair, tolerance=1e-5):
    """Thirty steps multiply a rounding by some hundreds: 1e-5 of values around 1. A wrong seed shows as 0.01."""
    for member, experiment in enumerate(experiments):
        single = train_alone(experiment, pair)
        for (step, values), (own_step, own) in zip(trained.points(member), single.points(), strict=True):
            assert step == own_step
            assert values == pytest.approx(own, rel=tolerance, abs=tolerance)
        for name, value in single.networks().state_dict().items():
            torch.testing.assert_close(
                trained.networks(member).state_dict()[name], value, rtol=10 * tolerance, atol=tolerance, msg=name
            )


# The numbers


@pytest.mark.parametrize(
    "experiments",
    [
        grid(alphas=(Constant(value=0.0), Constant(value=0.7), Ganin(), Linear(end=0.5))),
        grid(optimiser=SGD(momentum=0.0, weight_decay=0.01), batch_norm="separate", domain_weight=0.5),
        grid(optimiser=Adam(weight_decay=0.01)),
    ],
    ids=["alphas", "plain optimiser", "adam"],
)
def test_each_member_gets_the_numbers_of_its_single_run(moons_pair, experiments):
    trained = train_together(experiments, moons_pair)
    expect_alike(trained, experiments, moons_pair)
    # Members do differ: none was given the numbers of another.
    losses = {values["domain_loss"] for values in trained.notes.points[-2][1].values()}
    assert len(losses) == len(experiments)


@pytest.mark.parametrize(("method", "optimiser"), WITH_OPTIMISERS.values(), ids=WITH_OPTIMISERS)
def test_every_method_gives_the_same_numbers_in_both_programs(moons_pair, method, optimiser):
    experiments = seeds_of(method, 2, optimiser=optimiser, steps=10)
    expect_alike(train_together(experiments, moons_pair), experiments, moons_pair)


def test_each_member_has_its_own_random_map(moons_pair):
    """CDAN's projections are buffers, drawn from the seed of each run, the same in both programs."""
    experiments = seeds_of(CDAN(dimensions=8), 2, network=Shallow(hidden=3000), pair="features", steps=3, batch_size=16)
    pair = feature_pair(5)
    trained = train_together(experiments, pair)
    expect_alike(trained, experiments, pair)
    first, second = (dict(trained.networks(member).named_buffers()) for member in (0, 1))
    assert first
    assert not any(torch.equal(value, second[name]) for name, value in first.items())


def test_one_evaluation_of_many_is_many_evaluations(moons_pair):
    experiments = grid(seeds=(3, 4, 5))
    program = Together(experiments, moons_pair, CPU)
    mean = (moons_pair.source.mean() + moons_pair.target.mean()) / 2
    for member, found in enumerate(program.evaluate()):
        networks = program.member(member).eval()
        [own] = evaluate(
            lambda inputs, networks=networks: tuple(each.unsqueeze(0) for each in networks.predict(inputs)),
            Samples(moons_pair, mean),
            networks.get_parameter(networks.last_layer).unsqueeze(0),
        )
        assert found.scores == pytest.approx(own.scores, abs=1e-6)
        assert found.seen.keys() == own.seen.keys()
        torch.testing.assert_close(
            torch.from_numpy(found.seen["target_logits"]), torch.from_numpy(own.seen["target_logits"])
        )


def test_a_member_that_diverges_leaves_the_others_alone(moons_pair):
    calm = grid(seeds=(0,), log_every=1)
    wild = dataclasses.replace(calm[0], method=DANN(alpha=Constant(value=1e38)))
    mixed, alone = train_together([calm[0], wild, calm[1]], moons_pair), train_together(calm, moons_pair)
    [(member, message)] = mixed.notes.failures
    assert member == 1
    assert "at step" in message
    assert "alpha 1e+38, pair moons" in message
    assert (mixed.points(0), mixed.points(2)) == (alone.points(0), alone.points(1))


@pytest.mark.parametrize("method", [BNM, DALN])
def test_a_member_whose_singular_values_are_not_finite_leaves_the_others_alone(moons_pair, method):
    field = "alpha" if method is DALN else "weight"
    members = [small_moons(method=method(**{field: each})) for each in (Constant(value=0.1), Explodes(at=3))]
    trained = train_together(members, moons_pair)
    [(member, message)] = trained.notes.failures
    assert member == 1
    assert " is nan at step 5" in message
    assert trained.points(0)[-1][0] == 30


@dataclass(frozen=True)
class Explodes(Schedule):
    """Harmless up to a step and ruinous from there on."""

    at: int = 22

    def __call__(self, progress, *, step=None):
        return 0.1 if step is None or step < self.at else 1e30


def test_an_evaluation_that_is_not_finite_is_a_failure_too(moons_pair):
    """The update after the last logged loss can ruin the weights: the loss is finite, the logits are not."""
    calm = grid(log_every=1)
    wild = dataclasses.replace(calm[0], method=DANN(alpha=Explodes(at=19)))
    trained = train_together([*calm, wild], moons_pair)
    [(member, message)] = trained.notes.failures
    assert member == len(calm)
    assert message.startswith("target_logits is nan at step 20")
    assert all(trained.points(each)[-1][0] == 30 for each in range(len(calm)))
    assert [step for step, _ in trained.points(member)][-1] == 20  # the loss of step 20, and no evaluation
    assert "target_accuracy" not in trained.points(member)[-1][1]


def test_runs_that_have_all_failed_are_not_trained_on(moons_pair):
    wild = [small_moons(alpha=Explodes(at=2), seed=seed, log_every=1) for seed in range(2)]
    notes = train_together(wild, moons_pair).notes
    assert len(notes.failures) == 2
    assert [step for step, _ in notes.points] == [1, 2, 3]
    assert notes.asked == 4  # before each step; not once more


def test_the_doctor_looks_at_every_member(moons_pair):
    verdicts = train_together(grid(), moons_pair).notes.verdicts
    assert [(member, verdict.status) for member, verdict in verdicts] == [(member, "reversed") for member in range(4)]


# The bits


@pytest.mark.parametrize("optimiser", [SGD(momentum=0.9), SGD(momentum=0.0), Adam()], ids=["momentum", "sgd", "adam"])
def test_the_numbers_of_a_run_do_not_depend_on_its_company(moons_pair, optimiser):
    """To the bit, also alone: adversarial training turns a rounding of one step into another accuracy at the end."""
    several = grid(seeds=range(9), batch_size=32, optimiser=optimiser)
    whole = train_together(several, moons_pair)
    expected = [whole.digest(member) for member in range(len(several))]
    for company in (several[:1], several[:3], several[2:9], several[::-1]):
        found = train_together(company, moons_pair)
        digests = [found.digest(member) for member in range(len(company))]
        assert digests == [expected[several.index(each)] for each in company]


@pytest.mark.parametrize("method", METHODS_AND_FIELDS.values(), ids=METHODS_AND_FIELDS)
def test_nor_do_those_of_any_method(moons_pair, method):
    several = seeds_of(method, 5, batch_size=32)
    whole = train_together(several, moons_pair)
    for start, company in ((0, several[:1]), (2, several[2:4])):
        found = train_together(company, moons_pair)
        for member in range(len(company)):
            assert found.digest(member) == whole.digest(start + member)
            assert found.points(member) == whole.points(start + member)


def test_members_train_on_pairs_of_their_own(moons_pair):
    """Other inputs, means and labels: each as alone up to rounding, and to the bit whatever its company."""
    shifted = dataclasses.replace(
        moons_pair,
        source=dataclasses.replace(
            moons_pair.source, inputs=moons_pair.source.inputs[:70] + 1, labels=moons_pair.source.labels[:70]
        ),
    )
    mirrored = dataclasses.replace(
        moons_pair, source=dataclasses.replace(moons_pair.source, labels=1 - moons_pair.source.labels)
    )
    several, pairs = grid(seeds=(0, 1, 1), batch_size=32)[:3], [moons_pair, shifted, mirrored]
    whole = train_together(several, pairs)
    for member, (experiment, pair) in enumerate(zip(several, pairs, strict=True)):
        alone = train_alone(experiment, pair)
        for name, weight in alone.networks().state_dict().items():
            torch.testing.assert_close(whole.networks(member).state_dict()[name], weight, rtol=0, atol=ROUNDING)
        assert [step for step, _ in whole.points(member)] == [step for step, _ in alone.points()]
    for rows in ([1], [2, 0]):
        found = train_together([several[row] for row in rows], [pairs[row] for row in rows])
        assert [found.digest(member) for member in range(len(rows))] == [whole.digest(row) for row in rows]
        assert found.points() == whole.points(rows[0])
    resumed = train_together(several[::-1], pairs[::-1], states=whole.states[20][::-1])
    assert [resumed.digest(member) for member in (2, 1, 0)] == [whole.digest(member) for member in (0, 1, 2)]


# Going on


@pytest.mark.parametrize(("method", "optimiser"), WITH_OPTIMISERS.values(), ids=WITH_OPTIMISERS)
def test_members_go_on_in_other_company_to_the_same_bits(moons_pair, method, optimiser):
    several = seeds_of(method, 3, optimiser=optimiser)
    whole = train_together(several, moons_pair)
    states = whole.states[20]
    for rows in ([0], [2, 0], [1, 2]):
        resumed = train_together([several[row] for row in rows], moons_pair, states=[states[row] for row in rows])
        for member, row in enumerate(rows):
            assert resumed.digest(member) == whole.digest(row)
            assert resumed.points(member) == [point for point in whole.points(row) if point[0] > 20]


@pytest.mark.parametrize("stop_at", [1, 7, 13])
def test_they_go_on_from_between_two_points_too(moons_pair, stop_at):
    several = grid()
    whole = train_together(several, moons_pair)
    program = Together(several, moons_pair, CPU)
    notes = interrupt(program, stop_at)
    resumed = train_together(several, moons_pair, states=notes.states[stop_at])
    for member in range(len(several)):
        assert resumed.digest(member) == whole.digest(member)
        before = [(step, values[member]) for step, values in notes.points]
        assert before + resumed.points(member) == whole.points(member)


def interrupt(program, stop_at):
    notes = Notes(stop_at)
    notes.members = len(program.experiments)
    with pytest.raises(KeyboardInterrupt):
        train(program, notes)
    return notes


@pytest.mark.parametrize(("method", "optimiser"), WITH_OPTIMISERS.values(), ids=WITH_OPTIMISERS)
def test_a_state_goes_from_alone_to_together_and_back(moons_pair, method, optimiser):
    """Up to rounding, as the two programs differ by rounding."""
    experiments = seeds_of(method, 2, optimiser=optimiser)
    alone = [train_alone(each, moons_pair) for each in experiments]
    # The first ten steps alone, the next ten together, the last ten alone again.
    joined = train_together(experiments, moons_pair, states=[each.states[10][0] for each in alone])
    for member, experiment in enumerate(experiments):
        back = train_alone(experiment, moons_pair, states=[joined.states[20][member]])
        for name, value in alone[member].networks().state_dict().items():
            torch.testing.assert_close(back.networks().state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name)


# What is put together


def test_seeds_and_schedules_of_the_method_are_put_together_and_nothing_else():
    base = small_moons()
    for same in ({"seed": 3}, {"alpha": Constant(value=0.1)}):
        assert group_of(small_moons(**same)) == group_of(base)
    for other in (
        {"steps": 40},
        {"lr": Constant(value=0.1)},
        {"domain_weight": 1.0},
        {"batch_norm": "separate"},
        {"optimiser": Adam()},
        {"method": "cdan"},
        {"network": Shallow()},
        {"evaluate_every": 15},
    ):
        assert group_of(small_moons(**other)) != group_of(base)


def test_what_gains_nothing_is_trained_alone():
    assert can_be_together(small_moons(), CPU)
    assert not can_be_together(small_moons(precision="bfloat16"), CPU)
    assert not can_be_together(small_moons(network=NETWORKS["mnist_paper"]()), CPU)
    assert can_be_together(small_moons(network=MLP()), CPU)
    assert not can_be_together(small_moons(network=MLP(dropout=0.5)), CPU)
    assert not can_be_together(small_moons(), dataclasses.replace(CPU, compile="inductor"))


@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if network().together > 1])
def test_what_is_stacked_has_neither_batch_norm_nor_dropout(name):
    """Their running averages and random masks are not stacked."""
    networks = build_networks(NETWORKS[name](), DANN().heads, shape=(2,), classes=2, seed=0)
    assert not list(networks.buffers())
    assert not any("Drop" in type(layer).__name__ for layer in networks.modules())


# The trace


def test_a_step_is_traced_once_for_equal_recipes_and_shapes(moons_pair, monkeypatch):
    monkeypatch.setattr(module, "_TRACES", {})
    traced, trace = [], module.make_fx

    def watch(*arguments, **keywords):
        traced.append(arguments)
        return trace(*arguments, **keywords)

    monkeypatch.setattr(module, "make_fx", watch)
    for experiments in (grid(), grid(alphas=(Constant(), Linear())), grid(seeds=(5, 6)), grid()[:4]):
        train_together(experiments, moons_pair)
    assert len(traced) == 1
    train_together(grid(domain_weight=1.0), moons_pair)
    train_together(grid(seeds=(0, 1, 2)), moons_pair)
    train_together(seeds_of(MDD(margin=2.0), 4), moons_pair)
    train_together(seeds_of(MDD(margin=3.0), 4), moons_pair)
    assert len(traced) == 5


def test_a_trace_is_not_taken_for_that_of_another_method_of_the_same_fields(moons_pair):
    """A class defined twice, as in a notebook, is two classes."""

    def make(weight: float):
        @dataclass(frozen=True, kw_only=True)
        class Mine(DANN):
            name = "mine"

            def losses(self, networks, passed, **scheduled):
                losses = super().losses(networks, passed, **scheduled)
                return losses._replace(curves={"label_loss": weight * losses.label_loss})

        Mine.__module__, Mine.__qualname__ = "experiments.mine", "Mine"
        return Mine()

    first, second = (train_together(seeds_of(make(weight), 2), moons_pair).points()[0][1] for weight in (1.0, 3.0))
    assert second["label_loss"] == pytest.approx(3 * first["label_loss"])


@dataclass(frozen=True, kw_only=True)
class WithDropout(DANN):
    """A method whose head draws random masks: it cannot be stacked, and is trained alone."""

    name = "with_dropout"

    def heads(self, network, width, classes):
        return {"domain_classifier": lambda: nn.Sequential(nn.Dropout(0.5), network.domain_head(width))}


def test_a_method_with_dropout_or_batch_norm_in_its_heads_is_trained_alone():
    assert not can_be_together(small_moons(method=WithDropout()), CPU)
