"""What a trained network makes of the plane: lines, grids and points in the coordinates of the data."""

import dataclasses

import numpy as np
import torch
from torch import nn

from datasets import load_pair
from experiments.methods.anchors import SourceOnly
from experiments.methods.base import Adversarial, mean_of_training
from experiments.methods.cdan import CDAN
from experiments.methods.coral import CORAL
from experiments.networks import build_networks
from experiments.networks.shallow import Shallow
from experiments.recipes.moons import ganin2016_figure2, moons
from experiments.record import names
from experiments.training.alone import Alone
from experiments.training.plane import POINTS, look_at_plane
from tests.support.trainings import CPU, image_pair, on_images


def look(method=None):
    experiment = ganin2016_figure2(1)[1] if method is None else dataclasses.replace(moons(), method=method)
    pair = load_pair("moons")
    networks = build_networks(experiment.network, experiment.method.heads, shape=(2,), classes=2, seed=0)
    return experiment, networks, pair, look_at_plane(experiment, networks, pair)


def test_the_grid_is_what_the_network_says_there():
    experiment, networks, pair, seen = look()
    x, y = seen[names.PLANE_AXES]
    mean = mean_of_training(experiment.method.reads, pair)
    with torch.no_grad():
        for row, column in ((0, 0), (7, POINTS - 1), (50, 20)):
            features, logits = networks.predict(torch.tensor([[x[column], y[row]]]) - mean)
            domain = networks.heads["domain_classifier"](features)
            np.testing.assert_allclose(seen[names.PLANE_LABELS][row, column], logits[0], atol=2e-3)
            np.testing.assert_allclose(seen[names.PLANE_DOMAIN][row, column], domain[0], atol=2e-3)


def test_a_unit_changes_sign_on_its_line():
    experiment, networks, pair, seen = look()
    mean = mean_of_training(experiment.method.reads, pair)
    first = networks.feature_extractor[0]
    for unit, (a, b, c) in enumerate(seen[names.PLANE_LINES]):
        foot = torch.tensor([-c * a, -c * b]) / (a * a + b * b)
        along = torch.tensor([-b, a])
        with torch.no_grad():
            inside = first(torch.stack([foot, foot + along]) - mean)[:, unit]
        np.testing.assert_allclose(inside, 0, atol=1e-5)


def test_points_stand_in_the_order_of_the_recorded_features():
    experiment, _, pair, seen = look()
    program = Alone(experiment, pair, CPU)
    [evaluation] = program.evaluate()
    inputs = seen[names.PLANE_INPUTS]
    assert len(inputs) == len(evaluation.seen[names.LABELS])
    test = pair.evaluation.target_test
    rows = {tuple(point): int(label) for point, label in zip(test.inputs.tolist(), test.labels, strict=True)}
    of_target = evaluation.seen[names.DOMAIN_LABELS] == 1
    found = [rows[tuple(point)] for point in inputs[of_target].astype(float).tolist()]
    assert found == evaluation.seen[names.LABELS][of_target].tolist()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Squared(Shallow):
    """Looks at the inputs and their squares."""

    name = "squared"

    def feature_extractor(self, shape):
        return nn.Sequential(Squares(), nn.Linear(4, 5))


class Squares(nn.Module):
    def forward(self, inputs):
        return torch.cat([inputs, inputs**2], 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whole(Adversarial):
    """Says its losses, and no adversary's."""

    name = "whole"

    def losses(self, networks, passed, **scheduled):
        return SourceOnly().losses(networks, passed)


def test_what_has_no_lines_or_no_adversary_of_its_own_is_left_out():
    squared = dataclasses.replace(ganin2016_figure2(1)[1], network=Squared())
    pair = load_pair("moons")
    seen = look_at_plane(squared, Alone(squared, pair, CPU).member(0), pair)
    assert names.PLANE_DOMAIN in seen
    assert names.PLANE_LINES not in seen
    assert names.PLANE_LINES in look(Whole())[-1]
    assert names.PLANE_DOMAIN not in look(Whole())[-1]


def test_only_an_adversary_has_domain_logits_and_only_a_plane_is_looked_at():
    assert names.PLANE_DOMAIN in look(CDAN())[-1]
    assert names.PLANE_DOMAIN not in look(CORAL())[-1]
    pair = image_pair()
    assert look_at_plane(on_images(), Alone(on_images(), pair, CPU).member(0), pair) == {}
