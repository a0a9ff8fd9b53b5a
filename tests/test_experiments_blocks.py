"""The first layer in blocks of steps: the numbers of single steps, in any company, whatever ends a block."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.methods.dann import DANN
from experiments.networks.mlp import MLP
from experiments.networks.shallow import Shallow
from experiments.optimisers import SGD, Adam
from experiments.training.blocks import SAMPLES, steps_of_block
from experiments.training.loop import train
from experiments.training.together import Together
from grl.schedules import Constant, Ganin, InverseDecay
from tests.support.trainings import BY_STEPS, CPU, Notes, feature_pair, small_moons, train_alone, train_together

WIDTH = 100
METHODS = {name: method() for name, method in BY_STEPS.items() if method.together} | {
    "slowed": DANN(alpha=Constant(value=0.4), domain_rate="alpha")
}


def shallow(**changes):
    recipe = small_moons(
        network=Shallow(hidden=12), optimiser=SGD(momentum=0.0), lr=InverseDecay(lr=0.05), batch_size=8
    )
    how = {"pair": "features", "steps": 60, "evaluate_every": 25, "log_every": 5} | changes
    return dataclasses.replace(recipe, **how)


@pytest.fixture(scope="module")
def pair():
    return feature_pair(WIDTH)


def expect_equal(trained, member, alone):
    for (step, values), (own_step, own) in zip(trained.points(member), alone.points(), strict=True):
        assert step == own_step
        assert values == pytest.approx(own, rel=1e-4, abs=1e-4)
    for name, value in alone.networks().state_dict().items():
        torch.testing.assert_close(trained.networks(member).state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_method_gets_the_numbers_of_single_steps(pair, method):
    experiments = [shallow(method=method, seed=seed) for seed in range(2)]
    trained = train_together(experiments, pair)
    assert trained.program._block > 1
    for member, experiment in enumerate(experiments):
        expect_equal(trained, member, train_alone(experiment, pair))


@settings(max_examples=15, deadline=None)
@given(
    batch_size=st.integers(1, 16).map(lambda half: 2 * half),
    evaluate_every=st.integers(1, 60),
    steps=st.integers(1, 60),
)
def test_a_block_may_end_anywhere(batch_size, evaluate_every, steps):
    pair = feature_pair(WIDTH)
    experiment = shallow(batch_size=batch_size, steps=steps, log_every=1, evaluate_every=min(evaluate_every, steps))
    expect_equal(train_together([experiment], pair), 0, train_alone(experiment, pair))


def test_members_share_batches_where_pair_and_seed_are_theirs(pair):
    """Two pairs, two seeds, two alphas: eight members on four streams, each as alone."""
    other = feature_pair(WIDTH, count=40, seed=1)
    experiments, pairs = [], []
    for alpha in (Constant(value=0.3), Ganin()):
        for each in (pair, other):
            for seed in (0, 1):
                experiments.append(shallow(method=DANN(alpha=alpha), seed=seed))
                pairs.append(each)
    trained = train_together(experiments, pairs)
    assert len(trained.program._batches["source"].seeds) == 4
    for member, (experiment, each) in enumerate(zip(experiments, pairs, strict=True)):
        expect_equal(trained, member, train_alone(experiment, each))


def test_members_of_the_same_inputs_share_them_whatever_their_labels(pair):
    """As where many runs turn one pair round, each with labels of its own."""
    labels = (pair.source.labels + 1) % len(pair.class_names)
    other = dataclasses.replace(pair, source=dataclasses.replace(pair.source, labels=labels))
    experiments = [shallow(method=DANN(alpha=Constant(value=alpha))) for alpha in (0.1, 0.3)]
    trained = train_together(experiments, [pair, other])
    assert len(trained.program._batches["source"].seeds) == 1
    assert trained.digest(0) == train_together(experiments[:1], pair).digest(0)
    expect_equal(trained, 1, train_alone(experiments[1], other))


def test_the_bits_do_not_depend_on_the_company(pair):
    experiments = [shallow(method=DANN(alpha=Constant(value=alpha)), batch_size=32) for alpha in (0.1, 0.3, 1.0)]
    experiments += [dataclasses.replace(each, seed=1) for each in experiments]
    whole = train_together(experiments, pair)
    assert whole.program._block > 1
    for company in (experiments[:1], experiments[2:5], experiments[::-1]):
        found = train_together(company, pair)
        for member, each in enumerate(company):
            assert found.digest(member) == whole.digest(experiments.index(each))
            assert found.points(member) == whole.points(experiments.index(each))


@pytest.mark.parametrize("stop_at", [0, 1, 4, 7])
def test_a_stop_waits_for_the_end_of_a_block_and_the_rest_goes_on_to_the_same_bits(pair, stop_at):
    experiments = [shallow(seed=seed) for seed in range(2)]
    whole = train_together(experiments, pair)
    program, notes = Together(experiments, pair, CPU), Notes(stop_at)
    notes.members = 2
    with pytest.raises(KeyboardInterrupt):
        train(program, notes)
    stopped = max(notes.states)
    assert stopped == [0, 8, 16, 24, 25, 32, 40, 48][stop_at]  # a block ends at a multiple of 8, and at evaluations
    for rows in ([0, 1], [1]):
        states = [notes.states[stopped][row] for row in rows]
        resumed = train_together([experiments[row] for row in rows], pair, states=states)
        for member, row in enumerate(rows):
            assert resumed.digest(member) == whole.digest(row)


def test_a_state_goes_from_alone_to_blocks_and_back(pair):
    experiment = shallow()
    alone = train_alone(experiment, pair)
    joined = train_together([experiment], pair, states=alone.states[25])
    expect_equal(joined, 0, train_alone(experiment, pair, states=alone.states[25]))
    back = train_alone(experiment, pair, states=joined.states[50])
    for name, value in alone.networks().state_dict().items():
        torch.testing.assert_close(back.networks().state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_member_that_diverges_leaves_the_others_alone(pair):
    calm = [shallow(seed=seed) for seed in range(2)]
    wild = dataclasses.replace(calm[0], method=DANN(alpha=Constant(value=1e39)))
    mixed, alone = train_together([calm[0], wild, calm[1]], pair), train_together(calm, pair)
    [(member, _)] = mixed.notes.failures
    assert member == 1
    assert (mixed.points(0), mixed.points(2)) == (alone.points(0), alone.points(1))


def test_blocks_are_taken_where_they_are_exact_and_gain():
    plain = shallow()
    assert steps_of_block(plain, WIDTH, 2) == SAMPLES // 8
    assert steps_of_block(plain, WIDTH, 1) == SAMPLES // 4
    assert steps_of_block(plain, SAMPLES, 2) == 1  # the layer is no wider than a block is long
    assert steps_of_block(dataclasses.replace(plain, batch_size=128), WIDTH, 2) == 1
    for optimiser in (SGD(momentum=0.5), SGD(momentum=0.0, weight_decay=0.1), Adam()):
        assert steps_of_block(dataclasses.replace(plain, optimiser=optimiser), WIDTH, 2) == 1
    assert steps_of_block(dataclasses.replace(plain, network=MLP()), WIDTH, 2) == 1
