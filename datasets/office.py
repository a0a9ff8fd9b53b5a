"""Photographs of things in offices: Office-31 and Office-Caltech-10, as images and as published features."""

from pathlib import Path

import numpy as np

from datasets.errors import reading
from datasets.image_folder import read_classes
from datasets.originals import Original
from datasets.prepared import Arrays

SIZE = 256  # a random or central crop of 224 is what networks see
OFFICE31_CLASSES = (
    *("back_pack", "bike", "bike_helmet", "bookcase", "bottle", "calculator", "desk_chair", "desk_lamp"),
    *("desktop_computer", "file_cabinet", "headphones", "keyboard", "laptop_computer", "letter_tray", "mobile_phone"),
    *("monitor", "mouse", "mug", "paper_notebook", "pen", "phone", "printer", "projector", "punchers", "ring_binder"),
    *("ruler", "scissors", "speaker", "stapler", "tape_dispenser", "trash_can"),
)
OFFICE31_COUNTS = {"amazon": 2_817, "dslr": 498, "webcam": 795}
CALTECH10_CLASSES = (
    *("backpack", "bike", "calculator", "headphones", "keyboard", "laptop", "monitor", "mouse", "mug", "projector"),
)
CALTECH10_COUNTS = {"amazon": 958, "caltech10": 1_123, "dslr": 157, "webcam": 295}
CALTECH10_FEATURES = {"surf": ("surf", 800), "googlenet": ("GoogleNet1024", 1_024)}


def office31_original(part: str) -> Original:
    """Say where one part of Office-31 belongs."""
    return Original(
        path=f"office31/{part}/images",
        also=(f"office31/{part}", f"office31/domain_adaptation_images/{part}/images"),
        manual="download domain_adaptation_images.tar.gz from the page of the Adapting Visual Category Models project "
        "(its host asks a person to confirm) and unpack it",
    )


def build_office31(root: Path, part: str) -> Arrays:
    """Things in offices, 31 classes, resized to 256 × 256: shop pictures (amazon), SLR (dslr) or web camera (webcam).

    There is no test split: the usual protocol trains on all labelled source and all unlabelled target images and
    measures on the same target images.

    Source: the authors' archive, unpacked to office31/<part>/images/<class>/*.jpg; it must be downloaded by hand
    Licence: research use
    Citation: Saenko, Kulis, Fritz and Darrell, "Adapting Visual Category Models to New Domains", ECCV (2010)
    """
    original = office31_original(part)
    return read_classes(original.find(root) or root / original.path, OFFICE31_CLASSES, SIZE)


def caltech10_original(part: str) -> Original:
    """Say where the images of one part of Office-Caltech-10 belong."""
    return Original(
        path=f"office_caltech10/images/{part}",
        manual="download the Office-Caltech-10 images (folders amazon, caltech10, dslr, webcam) and unpack them",
    )


def build_caltech10(root: Path, part: str) -> Arrays:
    """Things in offices, the 10 classes that Office-31 shares with Caltech-256, resized to 256 × 256.

    There is no test split; see Office-31.

    Source: the images of Gong et al., office_caltech10/images/<part>/<class>/*.jpg; it must be downloaded by hand
    Licence: research use
    Citation: Gong, Shi, Sha and Grauman, "Geodesic Flow Kernel for Unsupervised Domain Adaptation", CVPR (2012)
    """
    return read_classes(root / caltech10_original(part).path, CALTECH10_CLASSES, SIZE)


def caltech10_matrix(part: str, features: str) -> Original:
    """Say where a published feature matrix of one part of Office-Caltech-10 belongs."""
    folder = CALTECH10_FEATURES[features][0]
    return Original(
        path=f"office_caltech10/features/{folder}/{part}.mat",
        manual=f"download the {folder} features of Office-Caltech-10",
    )


def build_caltech10_features(root: Path, part: str, features: str) -> Arrays:
    """Office-Caltech-10 as published features: SURF histograms (800 counts) or GoogLeNet activations (1,024), raw.

    There is no test split; see Office-31.

    Source: office_caltech10/features/{surf,GoogleNet1024}/<part>.mat with fts (N, D) and labels 1 … 10
    Licence: research use
    Citation: Gong, Shi, Sha and Grauman, "Geodesic Flow Kernel for Unsupervised Domain Adaptation", CVPR (2012)
    """
    from scipy.io import loadmat

    path = root / caltech10_matrix(part, features).path
    with reading(path):
        matrix = loadmat(path)
        return {
            "train_inputs": np.ascontiguousarray(matrix["fts"], np.float32),
            "train_labels": matrix["labels"].ravel().astype(np.int64) - 1,
        }
