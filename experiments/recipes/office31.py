"""Office-31 as the Transfer-Learning-Library trains it, on photographs with a pretrained ResNet-50.

    GRL_DATA=... python -m experiments run amazon_to_webcam

The recipe of Long et al. (2018) and those after them: bottleneck of 256, heads and bottleneck at ten times the learning
rate of the pretrained layers (0.01 and 0.001) over (1 + 0.001 i)^0.75 at step i, SGD with Nesterov momentum and weight
decay 0.001, batches of 32 + 32, 20,000 steps, crops of 224 from 256 and mirroring, the ramp of alpha over steps. It has
not been trained here: it needs weights of ImageNet, which a run never downloads.
"""

from datasets import Augment
from experiments.experiment import Experiment
from experiments.methods.dann import DANN
from experiments.networks.resnet import ResNet50
from experiments.optimisers import SGD
from grl.presets import TRANSFER_LEARNING_LIBRARY
from grl.schedules import InverseDecay


def amazon_to_webcam() -> Experiment:
    """Catalogue photographs to those of a web camera, 31 classes."""
    return Experiment(
        pair="office31_amazon_to_office31_webcam",
        method=DANN(alpha=TRANSFER_LEARNING_LIBRARY, domain_weight=1.0),
        network=ResNet50(weights="imagenet"),
        lr=InverseDecay(lr=0.001, rate=0.001 * 20_000),
        optimiser=SGD(nesterov=True, weight_decay=0.001, head_rate=10.0),
        steps=20_000,
        batch_size=64,
        augment=Augment(crop=224, flip=True),
        evaluate_every=1000,
        log_every=100,
    )
