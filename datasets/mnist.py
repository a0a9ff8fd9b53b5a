"""MNIST as torchvision keeps it on disk."""

from pathlib import Path

import numpy as np

from datasets.errors import DatasetError
from datasets.prepared import Arrays


def build_mnist(root: Path) -> Arrays:
    """Handwritten digits, grey, 28 × 28: 60,000 for training and 10,000 for testing.

    Source: torchvision's MNIST; files MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte
    Licence: CC BY-SA 3.0
    Citation: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
        Proc. IEEE 86 (1998)
    """
    from torchvision.datasets import MNIST

    arrays: Arrays = {}
    for split, train in (("train", True), ("test", False)):
        try:
            part = MNIST(root, train=train, download=False)
        except (RuntimeError, ValueError, AssertionError, IndexError, OSError) as error:
            raise DatasetError(f"MNIST in {root / 'MNIST' / 'raw'} cannot be read: {error}") from None
        arrays[f"{split}_inputs"] = part.data.numpy()[..., None]
        arrays[f"{split}_labels"] = part.targets.numpy().astype(np.int64)
    return arrays
