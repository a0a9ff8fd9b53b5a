"""What a trained network makes of the plane its inputs lie in: for pairs of two numbers a sample, as moons are.

The four panels of Ganin et al. (2016), figure 2, are drawn of it.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from datasets import DomainPair
from experiments.experiment import Experiment
from experiments.methods import Adversarial
from experiments.methods.base import Passed
from experiments.networks import Networks
from experiments.record.names import PLANE_AXES, PLANE_DOMAIN, PLANE_INPUTS, PLANE_LABELS, PLANE_LINES
from experiments.training.evaluation import Samples

POINTS = 101  # of the grid along each axis
MARGIN = 0.15  # of the data's extent, beyond it


@torch.inference_mode()
def look_at_plane(experiment: Experiment, networks: Networks, pair: DomainPair) -> dict[str, np.ndarray]:
    """The arrays `PLANE_…` of `record.names`; none where an input is not two numbers."""
    if tuple(pair.shape) != (2,):
        return {}
    method = experiment.method
    mean, networks = method.mean_of_inputs(pair), copy.deepcopy(networks).cpu().eval()
    samples = Samples(pair, mean, method.reads)
    splits = zip((samples.source_test, samples.target_test), samples.tested, strict=True)
    shown = torch.cat([split.inputs[places].float() for split, places in splits])
    low, high = shown.min(0).values, shown.max(0).values
    margin = MARGIN * (high - low)
    axes = torch.stack([torch.linspace(*ends, POINTS) for ends in zip(low - margin, high + margin, strict=True)])
    y, x = torch.meshgrid(axes[1], axes[0], indexing="ij")
    points = torch.stack([x, y], 2).reshape(-1, 2) - mean
    features, label_logits = networks.predict(points)
    arrays = {PLANE_AXES: axes, PLANE_INPUTS: shown, PLANE_LABELS: label_logits.reshape(POINTS, POINTS, -1)}
    if isinstance(method, Adversarial) and method.has_adversary:
        # Its logits come with its loss, which must be told some label and domain.
        some = torch.arange(POINTS**2) % 2
        _, domain_logits = method.adversary(networks, Passed(features, label_logits, some, some.float()), 1.0)
        if domain_logits is not None and domain_logits.shape == some.shape:
            arrays[PLANE_DOMAIN] = domain_logits.reshape(POINTS, POINTS)
    if (lines := _lines(networks.feature_extractor, points, mean)) is not None:
        arrays[PLANE_LINES] = lines
    # Three digits of a logit are enough for the line where it is 0.
    narrow = {PLANE_LABELS: torch.float16, PLANE_DOMAIN: torch.float16}
    return {
        name: values.clamp(-6e4, 6e4).to(narrow.get(name, torch.float32)).numpy() for name, values in arrays.items()
    }


def _lines(extractor: nn.Module, points: Tensor, mean: Tensor) -> Tensor | None:
    # Each unit of the first layer as a, b, c of the line a x + b y + c = 0 where its input changes sign; None where
    # that layer sees something else than the points.
    first = next((each for each in extractor.modules() if isinstance(each, nn.Linear)), None)
    if first is None:
        return None
    entering: list[Tensor] = []
    hook = first.register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
    extractor(points)
    hook.remove()
    if not entering or not torch.equal(entering[0], points):
        return None
    bias = -first.weight @ mean + (0 if first.bias is None else first.bias)
    return torch.cat([first.weight, bias.unsqueeze(1)], 1)
