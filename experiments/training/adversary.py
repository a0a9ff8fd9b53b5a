"""What has become of an adversary, measured when a training is over: the doctor looks before it begins."""

import math
from collections.abc import Mapping

import torch
from torch.nn.functional import cosine_similarity

from datasets import Batch, DomainPair, Labelled, one_pass
from experiments.experiment import Experiment
from experiments.methods import Adversarial, open_splits
from experiments.networks import Networks
from experiments.record.names import ADVERSARY_MOVED, GRADIENT_COSINE, GRADIENT_RATIO
from experiments.training.diagnosis import EXAMINED_BATCH
from experiments.training.evaluation import sample
from grl.obstacles import as_in_training


def measure_adversary(
    experiment: Experiment,
    networks: Networks,
    begun: Mapping[str, torch.Tensor],
    pair: DomainPair,
    mean: torch.Tensor,
) -> dict[str, float]:
    """How the label loss and the adversary's term pull at the features of one batch, at the end of the schedule.

    Args:
        experiment: What was trained.
        networks: As they are now.
        begun: The weights of their heads before the first step, by name.
        pair: Of the experiment.
        mean: Subtracted from the inputs.

    Returns:
        Of the labelled samples: the mean cosine of the two gradients, and the norm of the adversary's over that of the
        label loss; and how far the weights of the method's heads have moved, over their first norm. None of these
        where the method has no reversal, nor one that is not finite.
    """
    method, device = experiment.method, mean.device
    if not isinstance(method, Adversarial):
        return {}
    batches: dict[str, Batch] = {}
    for domain, split in open_splits(method.reads, pair).items():
        some = sample(split, EXAMINED_BATCH)
        batch = next(one_pass(some, EXAMINED_BATCH, mean=mean, crop=experiment.augment.crop, device=device))
        batches[domain] = batch if isinstance(split, Labelled) else Batch(batch.inputs)
    last = experiment.steps - 1
    with as_in_training([networks], device):
        passed = method.forward(networks, batches)
        losses = method.losses(networks, passed, **method.scheduled(last / experiment.steps, last))
        by_label, by_adversary = (
            torch.autograd.grad(loss, passed.features, retain_graph=True, materialize_grads=True)[0]
            for loss in (losses.label_loss, losses.objective - losses.label_loss)
        )
    labelled = len(passed.labels)
    by_label, by_adversary = by_label[:labelled].double(), by_adversary[:labelled].double()
    found = {
        GRADIENT_COSINE: cosine_similarity(by_label, by_adversary, eps=1e-30).mean(),
        GRADIENT_RATIO: by_adversary.norm() / by_label.norm(),
    }
    heads = {name: weight.detach().cpu() for name, weight in networks.heads.named_parameters()}
    if heads:
        first = [begun[name].cpu() for name in heads]
        steps = [now - before for now, before in zip(heads.values(), first, strict=True)]
        norms = [torch.stack([each.norm() for each in part]).norm() for part in (steps, first)]
        found[ADVERSARY_MOVED] = norms[0] / norms[1] if norms[1] else norms[0]
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}
