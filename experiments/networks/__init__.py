"""The catalogue of networks. A network of a user's own needs no line here: a recipe names its class."""

from experiments.networks.base import Network, Networks, build_networks, check_fit
from experiments.networks.cnn import CNN
from experiments.networks.gtsrb import GtsrbPaper
from experiments.networks.lenet import DTN, LeNet
from experiments.networks.mlp import MLP
from experiments.networks.mnist import MnistModern, MnistPaper
from experiments.networks.moons import Moons
from experiments.networks.own import Cut, Parts
from experiments.networks.raw import Raw
from experiments.networks.resnet import ResNet18, ResNet50, ResNet101
from experiments.networks.shallow import Shallow
from experiments.networks.skada import SkadaDigits
from experiments.networks.svhn import SvhnPaper

NETWORKS: dict[str, type[Network]] = {
    each.name: each
    for each in (
        Moons, Shallow, MLP, MnistPaper, MnistModern, SvhnPaper, GtsrbPaper, LeNet, DTN, SkadaDigits, CNN, ResNet18,
        ResNet50, ResNet101, Raw,
    )
}  # fmt: skip

__all__ = ["NETWORKS", "Cut", "Network", "Networks", "Parts", "build_networks", "check_fit"]
