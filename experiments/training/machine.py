"""How to compute, beside what to compute."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch

from experiments.errors import BadInput, unknown


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How to compute; changes no number of a run beyond rounding and is no part of its hash."""

    device: str = "auto"
    """cpu, cuda, cuda:1, … or mps; auto is the first of CUDA, MPS and CPU that is there."""
    compile: Literal["no", "inductor", "cudagraphs"] = "no"
    """Compile the losses and their gradients: inductor fuses kernels, cudagraphs starts all of them by one call,
    but for methods that wait for the device in every step (`Method.recordable`)."""
    deterministic: bool = False
    """On CUDA: the same bits every time, at some cost. The CPU gives them always."""

    def __post_init__(self) -> None:
        available = available_devices()
        if self.device != "auto" and self.device not in available:
            raise BadInput(f"device {self.device!r} is not available here: available are auto, {', '.join(available)}")
        kind = self.torch_device.type
        if self.deterministic and kind == "mps":
            raise BadInput("deterministic is for cpu and cuda, got it with device mps")
        match self.compile:
            case "no":
                pass
            case "cudagraphs":
                if kind != "cuda":
                    raise BadInput(f"compile cudagraphs needs a CUDA device, got device {kind}")
            case "inductor":
                # What inductor itself would call.
                compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
                if kind == "cpu" and shutil.which(compiler) is None:
                    raise BadInput(
                        f"compile inductor needs a C++ compiler for the CPU, and there is no {compiler}: "
                        "install one, name one in CXX, or take compile no"
                    )
            case _:
                raise unknown("compile", self.compile, ("no", "inductor", "cudagraphs"))

    @property
    def torch_device(self) -> torch.device:
        """The device it stands for."""
        return torch.device(available_devices()[-1] if self.device == "auto" else self.device)

    @property
    def stacks(self) -> bool:
        """Whether it can train many runs as one program: the CPU and CUDA can, which make their own graph of it."""
        return self.torch_device.type in ("cpu", "cuda") and self.compile == "no"

    def describe(self) -> str:
        """What it is, for the record: the device, and what was chosen beside it."""
        device = self.torch_device
        chosen = [torch.cuda.get_device_name(device) if device.type == "cuda" else device.type]
        if self.compile != "no":
            chosen.append(self.compile)
        if self.deterministic:
            chosen.append("deterministic")
        return ", ".join(chosen)

    def for_worker(self, index: int) -> Self:
        """The same for worker process `index`: workers share the CUDA devices evenly, unless one was chosen."""
        if self.device in ("auto", "cuda") and torch.cuda.is_available():
            return replace(self, device=f"cuda:{index % torch.cuda.device_count()}")
        return self

    def prepare(self) -> torch.device:
        """Set this process up to compute so, and return the device."""
        device = self.torch_device
        if device.type == "cuda":
            torch.cuda.set_device(device.index or 0)
            torch.backends.cudnn.allow_tf32 = False  # float32 means float32, as on the CPU
            if self.deterministic:
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
                torch.use_deterministic_algorithms(True)
                torch.backends.cudnn.benchmark = False
        return device

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` with its kernels fused, forward and backward, if chosen; its numbers differ by rounding.

        Dropout masks do not. (CUDA graphs change no kernel: they are recorded where a step is made.)
        """
        if self.compile != "inductor":
            return function
        return torch.compile(function, fullgraph=True, dynamic=False, options={"fallback_random": True})


def available_devices() -> list[str]:
    """The devices of this machine by name, the preferred one last."""
    devices = ["cpu"]
    if torch.backends.mps.is_available():
        devices.append("mps")
    if torch.cuda.is_available():
        devices += [*(f"cuda:{index}" for index in reversed(range(torch.cuda.device_count()))), "cuda"]
    return devices


AUTOMATIC = Machine()  # nothing chosen


def random_states(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of the generators that a training on `device` draws from, by kind of device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state()
    return states


def restore_random(states: dict[str, torch.Tensor]) -> None:
    """Go back to what `random_states` returned; the generator of a device that is not here is left out."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    for kind in states.keys() & {"cuda", "mps"}:
        if kind in available_devices():
            torch.get_device_module(kind).set_rng_state(states[kind])


def copy_to_cpu(state: Any) -> Any:
    """`state` with a copy of every tensor on the CPU, readable on any machine and untouched by what follows."""
    match state:
        case torch.Tensor():
            return state.to("cpu", copy=True)
        case dict():
            return {key: copy_to_cpu(value) for key, value in state.items()}
        case list():
            return [copy_to_cpu(value) for value in state]
    return state
