"""One run as a program: plain PyTorch on any device, compiled or in mixed precision if asked."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from datasets import Augment, Batch, Batches, DomainPair, Labelled
from experiments.experiment import Experiment
from experiments.methods import Losses, open_splits
from experiments.networks import Networks, build_networks
from experiments.networks.base import DomainBatchNorm
from experiments.optimisers import state_by_name
from experiments.randomness import derive_seed
from experiments.training.adversary import measure_adversary
from experiments.training.diagnosis import examine_method
from experiments.training.evaluation import Evaluation, Samples, evaluate, predict_alone
from experiments.training.machine import AUTOMATIC, Machine, copy_to_cpu, random_states, restore_random
from experiments.training.replay import Drawn, Replayed, batches_of, tensors_of
from grl.doctor import Verdict


class Alone:
    """The program of a single run."""

    name = "alone"
    resting = True

    def __init__(self, experiment: Experiment, pair: DomainPair, machine: Machine = AUTOMATIC):
        self.experiments, self.methods, self.method_of = [experiment], [experiment.method], [0]
        self.curves: list[str] = []
        self.steps = experiment.steps
        self.device = machine.prepare()
        self._pair, self._method = pair, experiment.method
        self._compute = machine.compiled(self._losses)
        cannot = machine.compile == "cudagraphs" and not experiment.method.recordable
        self._compile = "no" if cannot else machine.compile
        self._replayed: Replayed | None = None
        is_mixed = experiment.precision == "bfloat16"
        self._mixed: Any = torch.autocast(self.device.type, torch.bfloat16) if is_mixed else nullcontext()

        # Networks and optimiser. One seed per run, one stream per purpose.
        self.networks = build_for(experiment, pair)
        self.networks.train().to(self.device)
        self._weights = dict(self.networks.named_parameters())
        groups = experiment.optimiser.by_rate(self._weights, experiment.network.backbone)
        self._optimiser = experiment.optimiser.build(groups, experiment.lr(0.0, step=0))
        torch.manual_seed(derive_seed(experiment.seed, "dropout"))

        # Data: the splits that the method may read, less the mean of what is trained on.
        self._mean = experiment.method.mean_of_inputs(pair).to(self.device)
        self._batches: dict[str, Batches[Any]] = {
            domain: Batches(
                split,
                experiment.batch_size // 2,
                seed=derive_seed(experiment.seed, f"order/{domain}"),
                mean=self._mean,
                augment=None if experiment.augment == Augment() else experiment.augment,
                balanced=experiment.balanced and isinstance(split, Labelled),
                device=self.device,
            )
            for domain, split in open_splits(experiment.method.reads, pair).items()
        }
        self._samples: Samples | None = None

    def _losses(self, networks: Networks, batches: dict[str, Batch], scheduled: dict[str, Any]) -> Losses:
        return self._method.losses(networks, self._method.forward(networks, batches), **scheduled)

    def step(self, lr: float, scheduled: Sequence[dict[str, float]]) -> Tensor:
        for group in self._optimiser.param_groups:
            group["lr"] = lr * group["rate"]
        at: dict[str, Any] = scheduled[0]
        if self._compile != "no":  # a float would be compiled into the graph
            at = {name: torch.full((), value, device=self.device) for name, value in at.items()}
        drawn = tensors_of({domain: next(stream) for domain, stream in self._batches.items()})
        if self._compile == "cudagraphs":
            self._replayed = self._replayed or self._record(drawn, at)
            values = self._replayed(drawn, at)
        else:
            values = self._differentiate(drawn, at)
        self._optimiser.step()
        return values

    def _differentiate(self, drawn: Drawn, at: dict[str, Any]) -> Tensor:
        # The gradients of a step, into the weights; what there is to log, (1, curves).
        with self._mixed:
            losses = self._compute(self.networks, batches_of(drawn), at)
        self._optimiser.zero_grad()
        losses.objective.backward()
        self.curves = list(losses.curves)
        return torch.stack([value.detach() for value in losses.curves.values()]).unsqueeze(0)

    def _record(self, drawn: Drawn, at: dict[str, Any]) -> Replayed:
        # The call before the recording must leave no trace: averages of BatchNorm and random numbers go back.
        buffers, random = copy_to_cpu(dict(self.networks.named_buffers())), random_states(self.device)
        replayed = Replayed(self._differentiate, drawn, at)
        for name, value in self.networks.named_buffers():
            value.copy_(buffers[name])
        restore_random(random)
        return replayed

    def evaluate(self) -> list[Evaluation]:
        predict = predict_alone(self.networks)

        def predict_source(inputs: Tensor) -> tuple[Tensor, Tensor]:
            DomainBatchNorm.enter(self.networks, 0)
            try:
                return predict(inputs)
            finally:
                DomainBatchNorm.enter(self.networks, 1)

        crop = self.experiments[0].augment.crop
        self._samples = self._samples or Samples(self._pair, self._mean, self._method.reads, crop)
        name = self.networks.last_layer
        class_weights = self._weights[name].unsqueeze(0) if name else None
        self.networks.eval()
        try:
            return evaluate(predict, self._samples, class_weights, predict_source)
        finally:
            self.networks.train()

    def diagnose(self) -> list[Verdict | None]:
        return [examine_method(self.experiments[0], self.networks, self._pair, self._mean)]

    def measure_adversary(self, index: int, begun: Mapping[str, Tensor]) -> dict[str, float]:
        return measure_adversary(self.experiments[0], self.networks, begun, self._pair, self._mean)

    def member(self, index: int) -> Networks:
        return self.networks

    def begin(self, index: int, weights: dict[str, Tensor]) -> None:
        self.networks.load_state_dict(weights)

    def state(self, index: int) -> dict[str, Any]:
        return copy_to_cpu(
            {
                "networks": self.networks.state_dict(),
                "optimiser": state_by_name(self._optimiser, self._weights),
                "random": random_states(self.device),
                "batches": {domain: stream.state_dict() for domain, stream in self._batches.items()},
            }
        )

    def load(self, index: int, state: dict[str, Any]) -> None:
        self.begin(index, state["networks"])
        whole = self._optimiser.state_dict()
        remembered = copy_to_cpu(state["optimiser"])  # some of it is kept as it is, and then changed in place
        whole["state"] = {place: remembered[name] for place, name in enumerate(self._weights) if name in remembered}
        self._optimiser.load_state_dict(whole)
        restore_random(state["random"])
        for domain, stream in self._batches.items():
            stream.load_state_dict(state["batches"][domain])


def build_for(experiment: Experiment, pair: DomainPair) -> Networks:
    """The networks of one run as they are before the first step.

    Raises:
        BadInput: The network cannot take the pair's inputs.
    """
    return experiment.method.arrange(
        build_networks(
            experiment.network,
            experiment.method.heads,
            shape=sample_shape(pair, experiment.augment),
            classes=len(pair.class_names),
            seed=experiment.seed,
            domains=pair.domains,
        )
    )


def sample_shape(pair: DomainPair, augment: Augment) -> tuple[int, ...]:
    """Shape of one network input: images with the channels first, cut as the augmentation cuts them."""
    *size, channels = pair.shape
    return (channels, *((augment.crop,) * 2 if augment.crop else size))
