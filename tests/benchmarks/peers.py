"""Images per second of whole training: ours beside four published pipelines, on one network.

    GRL_DATA=... OMP_NUM_THREADS=1 python -m tests.benchmarks.peers PATH_TO_PEERS          # about five minutes

Needs MNIST and the BSDS500 photographs below GRL_DATA, and whatever peers are wanted as checkouts below PATH_TO_PEERS:
Transfer-Learning-Library, pytorch-adapt, skada and DANN (fungtion's), with what they import beyond the project's own
packages in PATH_TO_PEERS/packages. What is missing, or does not import, is left out with a line that says so.

Everybody trains `mnist_paper` on MNIST → MNIST-M with 64 + 64 images a step and one compute thread, by DANN: ours with
its recording; each peer with its own data set classes, transforms, loader, reversal, loss, optimiser and logging, as
its examples put them together. skada's examples hold all data in memory; the others read what torchvision's MNIST and
PNG files give. Images are not resized, because the network takes 28 × 28; that spares the peers a step. Workers are
processes beside the training one. The limit is the bare step of `training_speed`: one resident batch, in the faster of
the two memory formats. Contestants take turns, round by round; medians of rounds.
"""

# pyright: reportMissingImports=false
# The peers are not the project's own.

import argparse
import contextlib
import dataclasses
import os
import statistics
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from operator import truediv
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision import transforms

from datasets import Batch, Batches, DomainPair, LabelledBatch, load_pair
from experiments.methods.dann import DANN
from experiments.networks import Networks
from experiments.recipes.digits import mnist_to_mnist_m
from experiments.record.names import HARDWARE
from experiments.work.environment import describe_environment
from tests.benchmarks.training_speed import STEPS, WARM_UP, build, time_training_step, without_evaluation

HALF = 64
EPOCHS = 100  # of fungtion/DANN's ramp
PICTURES = 59_001  # what the MNIST-M of pytorch-adapt insists on
SETTLE_S = 0.5  # workers go on making batches ahead; they must not do so in the next contestant's time

BARE, OURS = "bare step", "ours, whole training"
WORKERS = (0, 2)  # per loader; fungtion/DANN asks for 8, the others for 2
IMPORTED = ("Transfer-Learning-Library", "pytorch-adapt/src", "skada", "DANN", "DANN/models", "packages")

Measure = Callable[[], float]  # one round; milliseconds per step
Steps = Iterator[Any]  # trains one step whenever asked for the next


def plain_networks() -> Networks:
    """The network in PyTorch's default memory format, as the peers build theirs."""
    return build(mnist_to_mnist_m(), load_pair("mnist_to_mnist_m")).to(memory_format=torch.contiguous_format)


def train_as_transfer_learning_library(pictures: Path, workers: int) -> Steps:
    """`examples/domain_adaptation/image_classification/dann.py`, with the options its digits have in `dann.sh`."""
    from tllib.alignment.dann import DomainAdversarialLoss
    from tllib.modules.classifier import Classifier
    from tllib.utils.data import ForeverDataIterator
    from tllib.utils.meter import AverageMeter, ProgressMeter
    from tllib.utils.metric import accuracy
    from tllib.vision.datasets.imagelist import ImageList
    from tllib.vision.transforms import ResizeImage

    transform = transforms.Compose(
        [ResizeImage(28), transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    )
    source, target = (
        ForeverDataIterator(
            DataLoader(
                ImageList(
                    str(pictures / name / f"{name}_train"),
                    [str(digit) for digit in range(10)],
                    str(pictures / name / f"{name}_train_labels.txt"),
                    transform=transform,
                ),
                HALF,
                shuffle=True,
                num_workers=workers,
                drop_last=True,
            )
        )
        for name in ("mnist", "mnist_m")
    )
    networks = plain_networks()
    networks.feature_extractor.out_features = 768  # pyright: ignore[reportArgumentType]
    model = Classifier(
        networks.feature_extractor, 10, head=networks.label_predictor, pool_layer=nn.Identity(), finetune=False
    ).train()
    adversary = nn.Sequential(networks.heads["domain_classifier"], nn.Sigmoid(), nn.Unflatten(0, (-1, 1)))
    domain_adversarial = DomainAdversarialLoss(adversary).train()
    parameters = [*model.get_parameters(), {"params": adversary.parameters(), "lr": 1.0}]
    optimiser = torch.optim.SGD(parameters, 0.03, momentum=0.9, weight_decay=1e-3, nesterov=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.03 * (1 + 0.001 * float(step)) ** -0.75)
    names = ("Time", "Data", "Loss", "Cls Acc", "Domain Acc")
    step_time, data_time, losses, label_accuracies, domain_accuracies = meters = [AverageMeter(name) for name in names]
    progress = ProgressMeter(2500, meters)
    step, began = 0, time.time()
    while True:
        source_inputs, labels = next(source)[:2]
        (target_inputs,) = next(target)[:1]
        data_time.update(time.time() - began)
        logits, features = model(torch.cat((source_inputs, target_inputs), dim=0))
        source_logits, _ = logits.chunk(2, dim=0)
        source_features, target_features = features.chunk(2, dim=0)
        label_loss = cross_entropy(source_logits, labels)
        loss = label_loss + domain_adversarial(source_features, target_features)
        losses.update(loss.item(), HALF)
        label_accuracies.update(accuracy(source_logits, labels)[0].item(), HALF)
        domain_accuracies.update(domain_adversarial.domain_discriminator_accuracy.item(), HALF)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        step_time.update(time.time() - began)
        began = time.time()
        if step % 100 == 0:
            progress.display(step)
        step += 1
        yield


def train_as_pytorch_adapt(pictures: Path, workers: int) -> Steps:
    """`examples/getting_started/DANNVanilla.ipynb`."""
    from pytorch_adapt.containers import Models, Optimizers
    from pytorch_adapt.datasets import CombinedSourceAndTargetDataset, DataloaderCreator, SourceDataset, TargetDataset
    from pytorch_adapt.datasets.mnistm import MNISTM
    from pytorch_adapt.hooks import DANNHook
    from pytorch_adapt.transforms.classification import GrayscaleToRGB
    from pytorch_adapt.transforms.constants import IMAGENET_MEAN, IMAGENET_STD
    from pytorch_adapt.utils.common_functions import batch_to_device
    from tqdm import tqdm

    normalise = transforms.Normalize(mean=IMAGENET_MEAN, std=IMAGENET_STD)
    grey = transforms.Compose([transforms.Resize(28), transforms.ToTensor(), GrayscaleToRGB(), normalise])
    colour = transforms.Compose([transforms.ToTensor(), normalise])
    source = torchvision.datasets.MNIST(os.environ["GRL_DATA"], train=True, transform=grey)
    target = MNISTM(str(pictures), train=True, transform=colour)
    both = CombinedSourceAndTargetDataset(SourceDataset(source), TargetDataset(target))
    loader = DataloaderCreator(batch_size=HALF, num_workers=workers)(train=both)["train"]
    networks = plain_networks()
    models = Models(
        {"G": networks.feature_extractor, "C": networks.label_predictor, "D": networks.heads["domain_classifier"]}
    )
    optimisers = Optimizers((torch.optim.Adam, {"lr": 0.0001}))
    optimisers.create_with(models)
    hook = DANNHook(list(optimisers.values()))
    while True:
        models.train()
        for batch in tqdm(loader):
            hook({**models, **batch_to_device(batch, torch.device("cpu"))})
            yield


def train_as_fungtion_dann(pictures: Path, workers: int) -> Steps:
    """`train/main.py`, its two passes a step and its line for every step; its domain classifier has two outputs."""
    from dataset.data_loader import GetLoader
    from functions import ReverseLayerF

    grey = transforms.Compose(
        [transforms.Resize(28), transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    )
    colour = transforms.Compose(
        [transforms.Resize(28), transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    )
    source = torchvision.datasets.MNIST(os.environ["GRL_DATA"], train=True, transform=grey)
    folder = pictures / "mnist_m"
    target = GetLoader(str(folder / "mnist_m_train"), str(folder / "mnist_m_train_labels.txt"), transform=colour)
    loaders = [DataLoader(split, HALF, shuffle=True, num_workers=workers) for split in (source, target)]
    networks = plain_networks()
    networks.label_predictor = nn.Sequential(networks.label_predictor, nn.LogSoftmax(dim=1))
    hidden = [nn.Linear(768, 100), nn.ReLU(), nn.Linear(100, 2), nn.LogSoftmax(dim=1)]
    networks.heads["domain_classifier"] = nn.Sequential(*hidden)
    optimiser = torch.optim.Adam(networks.parameters(), lr=1e-3)
    negative_log_likelihood = nn.NLLLoss()

    def pass_through(inputs: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        images = torch.empty(len(inputs), 3, 28, 28).resize_as_(inputs).copy_(inputs)
        features = networks.feature_extractor(images.expand(len(images), 3, 28, 28))
        reversed_features = ReverseLayerF.apply(features, alpha)
        return networks.label_predictor(features), networks.heads["domain_classifier"](reversed_features)

    steps = min(map(len, loaders))
    for epoch in range(EPOCHS):
        for step, ((source_inputs, labels), (target_inputs, _)) in enumerate(zip(*loaders, strict=False)):
            alpha = 2.0 / (1.0 + np.exp(-10 * float(step + epoch * steps) / EPOCHS / steps)) - 1
            networks.zero_grad()
            label_output, domain_output = pass_through(source_inputs, alpha)
            label_loss = negative_log_likelihood(label_output, labels)
            source_loss = negative_log_likelihood(domain_output, torch.zeros(len(labels)).long())
            _, domain_output = pass_through(target_inputs, alpha)
            target_loss = negative_log_likelihood(domain_output, torch.ones(len(target_inputs)).long())
            (target_loss + source_loss + label_loss).backward()
            optimiser.step()
            numbers = [loss.detach().numpy() for loss in (label_loss, source_loss, target_loss)]
            print(f"epoch: {epoch}, [iter: {step} / all {steps}], losses: {numbers}")
            yield


class Adversary(nn.Module):
    """Reversal, classifier and sigmoid in one, as skada wants it."""

    def __init__(self, reverse: Callable[[Tensor], Tensor], classifier: nn.Module):
        super().__init__()
        self.reverse, self.classifier = reverse, classifier

    def forward(self, features: Tensor) -> Tensor:
        return torch.sigmoid(self.classifier(self.reverse(features)))


def time_skada(pair: DomainPair) -> Measure:
    """`examples/deep/plot_adversarial.py`: arrays in memory and `fit`. Its preparations before a step do not count."""
    from skada.deep import DANN
    from skada.deep.modules import GradientReversalLayer
    from skorch.callbacks import Callback

    stamps: list[float] = []

    class Stamp(Callback):
        def on_batch_end(self, net: Any, **keywords: Any) -> None:
            stamps.append(time.perf_counter())

    count = (WARM_UP + STEPS) * HALF
    images = [split.inputs[:count].permute(0, 3, 1, 2).float() / 255 for split in (pair.source, pair.target)]
    inputs = torch.cat(images).contiguous().numpy()
    labels = np.concatenate([pair.source.labels[:count].numpy(), np.full(count, -1)])
    sample_domain = np.repeat([1, -2], count)
    networks = plain_networks()
    model = DANN(
        nn.Sequential(OrderedDict(features=networks.feature_extractor, labels=networks.label_predictor)),
        layer_name="features",
        domain_classifier=Adversary(
            lambda features: GradientReversalLayer.apply(features, 1), networks.heads["domain_classifier"]
        ),
        batch_size=HALF,
        max_epochs=1,
        train_split=False,
        lr=1e-2,
        callbacks=[Stamp()],
    )

    def measure() -> float:
        stamps.clear()
        model.fit(inputs, labels, sample_domain=sample_domain)
        return (stamps[WARM_UP + STEPS - 1] - stamps[WARM_UP - 1]) * 1000 / STEPS

    return measure


def time_steps(steps: Steps) -> Measure:
    """Measure a loop that is asked for one step after the other."""

    def measure() -> float:
        for _ in range(WARM_UP):
            next(steps)
        began_s = time.perf_counter()
        for _ in range(STEPS):
            next(steps)
        return (time.perf_counter() - began_s) * 1000 / STEPS

    return measure


LOOPS: dict[str, Callable[[Path, int], Steps]] = {
    "Transfer-Learning-Library": train_as_transfer_learning_library,
    "pytorch-adapt": train_as_pytorch_adapt,
    "fungtion/DANN": train_as_fungtion_dann,
}


def train_bare(networks: Networks, source: LabelledBatch, target: Batch) -> Steps:
    """Forward, backward and optimiser on one resident batch."""
    optimiser = torch.optim.SGD(networks.parameters(), lr=1e-3, momentum=0.9, fused=True)
    while True:
        passed = DANN().forward(networks, {"source": source, "target": target})
        losses = DANN().losses(networks, passed, alpha=0.5)
        optimiser.zero_grad()
        losses.objective.backward()
        optimiser.step()
        yield


def find_ours(pair: DomainPair) -> dict[str, Measure]:
    """The bare step in both memory formats, and our training."""
    source, target = next(Batches(pair.source, HALF, seed=0)), next(Batches(pair.target, HALF, seed=0))
    networks = build(mnist_to_mnist_m(), pair)
    plain_source = dataclasses.replace(source, inputs=source.inputs.contiguous())
    plain_target = dataclasses.replace(target, inputs=target.inputs.contiguous())
    experiment = dataclasses.replace(mnist_to_mnist_m(), log_every=10, evaluate_every=1000)
    return {
        f"{BARE}, channels last": time_steps(train_bare(networks, source, target)),
        f"{BARE}, channels first": time_steps(train_bare(plain_networks(), plain_source, plain_target)),
        OURS: lambda: time_training_step(experiment, pair),
    }


def find_peers(root: Path, pictures: Path, pair: DomainPair) -> dict[str, Measure]:
    """The peers that work here; a line for each that does not."""
    sys.path += [str(root / folder) for folder in IMPORTED]
    found: dict[str, Measure] = {}
    for name, loop in LOOPS.items():
        try:
            for workers in WORKERS:
                steps = loop(pictures, workers)
                with silence():
                    next(steps)
                found[f"{name}, {workers} workers"] = time_steps(steps)
        except Exception as error:  # theirs may be anything
            print(f"left out: {name} ({type(error).__name__}: {error})")
    try:
        found["skada, from memory"] = time_skada(pair)
    except ImportError as error:
        print(f"left out: skada ({error})")
    return found


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Let peers print into nothing."""
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        yield


def write_pictures(folder: Path, name: str, inputs: Tensor, mode: str) -> None:
    """Write images and a list of them, as the original MNIST-M was laid out; every label is 0."""
    target = folder / name / f"{name}_train"
    target.mkdir(parents=True)
    names = [f"{index:08d}.png" for index in range(PICTURES)]
    for file, pixels in zip(names, inputs.numpy(), strict=False):
        Image.fromarray(pixels).convert(mode).save(target / file)
    (folder / name / f"{name}_train_labels.txt").write_text("".join(f"{file} 0\n" for file in names))


def main() -> int:
    options = argparse.ArgumentParser(description="Compare whole training with published pipelines.")
    options.add_argument("peers", type=Path, help="folder of their checkouts; what is not there is left out")
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args()
    if not os.environ.get("GRL_DATA"):
        print("GRL_DATA must name a folder with MNIST and BSDS500: every peer here reads MNIST", file=sys.stderr)
        return 2
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
    pair = load_pair("mnist_to_mnist_m")
    pair = without_evaluation(pair)
    with tempfile.TemporaryDirectory() as scratch:
        pictures = Path(scratch)
        write_pictures(pictures, "mnist", pair.source.inputs, "L")
        write_pictures(pictures, "mnist_m", pair.target.inputs, "RGB")
        measures = find_ours(pair) | find_peers(given.peers, pictures, pair)
        rounds: dict[str, list[float]] = {name: [] for name in measures}
        for _ in range(given.rounds):
            for name, measure in measures.items():
                time.sleep(SETTLE_S)
                with silence():
                    rounds[name].append(measure())
    step_ms = {name: statistics.median(values) for name, values in rounds.items()}
    bare = min((name for name in step_ms if name.startswith(BARE)), key=step_ms.__getitem__)
    print(f"{describe_environment()[HARDWARE]}, torch {torch.__version__}, 1 thread, {pair.title}, DANN, mnist_paper,")
    print(
        f"batch {2 * HALF} = {HALF} + {HALF}; medians of {given.rounds} rounds of {STEPS} steps; "
        f"load {os.getloadavg()[1]:.1f} of {os.cpu_count()} cores"
    )
    print(f"{'':40}{'ms a step':>10}{'images/s':>10}{'of the bare':>13}{'ours is':>10}")
    for name, value in step_ms.items():
        ratio = {other: statistics.median(map(truediv, rounds[name], rounds[other])) for other in (bare, OURS)}
        print(f"{name:40}{value:10.2f}{2 * HALF * 1000 / value:10,.0f}{1 / ratio[bare]:13.3f}{ratio[OURS]:9.2f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
