"""A method without steps as a program: its one step fits the last layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from datasets import DomainPair, Labelled, Unlabelled, one_pass
from experiments.experiment import Experiment
from experiments.methods import mean_of_training, open_splits
from experiments.methods.fitted import Fitted
from experiments.networks import Networks, build_networks
from experiments.record.names import LABEL_LOSS
from experiments.training.alone import sample_shape
from experiments.training.evaluation import EVALUATION_BATCH, Evaluation, Samples, evaluate
from grl.doctor import Verdict


class FittedProgram:
    """The program of a run whose method is `Fitted`; its networks differ from those it begins with in one layer."""

    name = "fitted"
    device = torch.device("cpu")
    steps = 1

    def __init__(self, experiment: Experiment, pair: DomainPair):
        assert isinstance(experiment.method, Fitted)
        self.experiments, self.methods, self.method_of = [experiment], [experiment.method], [0]
        self.curves = [LABEL_LOSS]
        self._pair, self._method = pair, experiment.method
        self._mean = mean_of_training(experiment.method.reads, pair)
        self.networks = build_networks(
            experiment.network,
            experiment.method.heads,
            shape=sample_shape(pair, experiment.augment),
            classes=len(pair.class_names),
            seed=experiment.seed,
        ).eval()

    @torch.no_grad()
    def step(self, lr: float, scheduled: Sequence[dict[str, float]]) -> Tensor:
        splits = open_splits(self._method.reads, self._pair)
        layer = [each for each in self.networks.label_predictor.modules() if isinstance(each, nn.Linear)][-1]
        entering = {domain: self._enter(layer, split) for domain, split in splits.items()}
        source = splits["source"]
        assert isinstance(source, Labelled)
        target = entering["target"].numpy() if "target" in entering else None
        weights, biases = self._method.fit(entering["source"].numpy(), source.labels.numpy(), target)
        for parameter, fitted in ((layer.weight, weights), (layer.bias, biases)):
            parameter.zero_()
            parameter[: len(fitted)] = torch.from_numpy(np.asarray(fitted, np.float32))
        return cross_entropy(layer(entering["source"]), source.labels).view(1, 1)

    def _enter(self, layer: nn.Linear, split: Labelled | Unlabelled) -> Tensor:
        # What enters the layer, (N, F), of a whole split.
        entering: list[Tensor] = []
        hook = layer.register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
        for batch in self._pass_over(split):
            self.networks.predict(batch.inputs)
        hook.remove()
        return torch.cat(entering)

    def _pass_over(self, split: Labelled | Unlabelled) -> Any:
        labels = torch.zeros(len(split), dtype=torch.int64)
        everything = Labelled(name=split.name, inputs=split.inputs, labels=labels)
        return one_pass(everything, EVALUATION_BATCH, mean=self._mean, crop=self.experiments[0].augment.crop)

    def evaluate(self) -> list[Evaluation]:
        def predict(inputs: Tensor) -> tuple[Tensor, Tensor]:
            features, logits = self.networks.predict(inputs)
            return features.unsqueeze(0), logits.unsqueeze(0)

        crop = self.experiments[0].augment.crop
        return evaluate(predict, Samples(self._pair, self._mean, self._method.reads, crop))

    def diagnose(self) -> list[Verdict | None]:
        return [None]

    def member(self, index: int) -> Networks:
        return self.networks

    def begin(self, index: int, weights: dict[str, Tensor]) -> None:
        own = self.networks.state_dict()
        self.networks.load_state_dict({name: weights[name] for name in own})

    def state(self, index: int) -> dict[str, Any]:
        return {"networks": {name: value.clone() for name, value in self.networks.state_dict().items()}}

    def load(self, index: int, state: dict[str, Any]) -> None:
        self.begin(index, state["networks"])
