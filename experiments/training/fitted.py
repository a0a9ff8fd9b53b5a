"""Methods without steps as a program: its one step fits the last layer of every member."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from datasets import DomainPair, Split, one_pass
from experiments.errors import BadInput
from experiments.experiment import Experiment
from experiments.identity import origin_of
from experiments.methods import Method, open_splits
from experiments.methods.fitted import Fitted
from experiments.networks import Networks, build_networks
from experiments.networks.raw import Raw
from experiments.record.names import LABEL_LOSS
from experiments.training.alone import sample_shape
from experiments.training.evaluation import (
    EVALUATION_BATCH,
    Evaluation,
    Samples,
    evaluate,
    predict_alone,
    with_labels,
)
from grl.doctor import Verdict

MOST = 20  # members of a program


def family_of(experiment: Experiment) -> str:
    """Equal for runs that one program can fit: whose pairs have the same inputs, and that take up the same networks."""
    before = run_before(experiment)
    inputs = (origin_of(experiment.pair)[:2], experiment.held_out, experiment.augment, experiment.network)
    return f"{inputs} {experiment.method.name} {before.hash if before else ''}"


def run_before(experiment: Experiment) -> Experiment | None:
    """The run whose networks a fitted one takes up; None for any other."""
    method = experiment.method
    return replace(experiment, method=method.after) if isinstance(method, Fitted) and method.after else None


def check_inputs(experiment: Experiment) -> None:
    """Refuse a fit behind a network that nobody has trained.

    Raises:
        BadInput: It is one.
    """
    network, method = experiment.network, experiment.method
    if isinstance(method, Fitted) and not method.after and not isinstance(network, Raw):
        raise BadInput(
            f"method {method.name} fits the last layer of trained networks: give network raw to fit the inputs, or "
            f"method.after, got network {network.name}"
        )


class FittedProgram:
    """The program of runs that `family_of` calls equal; a member's networks change in one layer."""

    name = "fitted"
    resting = True
    device = torch.device("cpu")
    steps = 1

    def __init__(self, experiments: Sequence[Experiment], pairs: Sequence[DomainPair]):
        recipe = experiments[0]
        check_inputs(recipe)
        self.experiments, self._pairs = list(experiments), list(pairs)
        self.methods: list[Method] = [each.method for each in experiments]
        self.method_of = list(range(len(self.methods)))
        self.curves = [LABEL_LOSS]
        self._crop = recipe.augment.crop
        self._mean = recipe.method.mean_of_inputs(pairs[0])
        self._members = [
            build_networks(
                each.network,
                each.method.heads,
                shape=sample_shape(pairs[0], each.augment),
                classes=len(pairs[0].class_names),
                seed=each.seed,
            ).eval()
            for each in experiments
        ]

    @torch.no_grad()
    def step(self, lr: float, scheduled: Sequence[dict[str, float]]) -> Tensor:
        method, splits = self.methods[0], open_splits(self.methods[0].reads, self._pairs[0])
        entering = {domain: self._enter(split) for domain, split in splits.items()}
        assert isinstance(method, Fitted)
        source = torch.cat([each for domain, each in entering.items() if domain.startswith("source")])
        target = [each for domain, each in entering.items() if domain.startswith("target")]
        prepared = method.prepare(source.numpy(), torch.cat(target).numpy() if target else None)
        losses = []
        for networks, method, pair in zip(self._members, self.methods, self._pairs, strict=True):
            assert isinstance(method, Fitted)
            layer, labels = last_layer(networks), pair.source.labels
            weights, biases = method.fit(prepared, labels.numpy(), len(pair.class_names))
            layer.weight.copy_(torch.from_numpy(weights))
            layer.bias.copy_(torch.from_numpy(biases))
            losses.append(cross_entropy(layer(source), labels))
        return torch.stack(losses).unsqueeze(1)

    def _enter(self, split: Split) -> Tensor:
        # What enters the last layer, (N, F), of a whole split.
        networks, entering = self._members[0], []
        hook = last_layer(networks).register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
        for batch in one_pass(with_labels(split), EVALUATION_BATCH, mean=self._mean, crop=self._crop):
            networks.predict(batch.inputs)
        hook.remove()
        return torch.cat(entering)

    def evaluate(self) -> list[Evaluation]:
        measured: list[Evaluation] = []
        for networks, method, pair in zip(self._members, self.methods, self._pairs, strict=True):
            samples = Samples(pair, self._mean, method.reads, self._crop)
            measured += evaluate(predict_alone(networks), samples, last_layer(networks).weight.detach().unsqueeze(0))
        return measured

    def diagnose(self) -> list[Verdict | None]:
        return [None] * len(self._members)

    def measure_adversary(self, index: int, begun: Mapping[str, Tensor]) -> dict[str, float]:
        return {}

    def member(self, index: int) -> Networks:
        return self._members[index]

    def begin(self, index: int, weights: dict[str, Tensor]) -> None:
        own = self._members[index]
        own.load_state_dict({name: weights[name] for name in own.state_dict()})

    def state(self, index: int) -> dict[str, Any]:
        return {"networks": {name: value.clone() for name, value in self._members[index].state_dict().items()}}

    def load(self, index: int, state: dict[str, Any]) -> None:
        self.begin(index, state["networks"])


def last_layer(networks: Networks) -> nn.Linear:
    """The linear layer whose outputs are the label logits.

    Raises:
        BadInput: There is none.
    """
    layer = networks.get_submodule((networks.last_layer or "").removesuffix(".weight"))
    if not isinstance(layer, nn.Linear) or layer.bias is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise BadInput("the label predictor has no linear layer with a bias for a method without steps to fit")
    return layer
