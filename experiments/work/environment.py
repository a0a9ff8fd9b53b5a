"""Where and with what a run was made; recorded with every run."""

import hashlib
import importlib.metadata
import os
import platform
import shlex
import sys
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from datasets import DomainPair
from experiments.record.names import COMMAND, COMMIT, DIFF, DIRTY, HARDWARE, VERSIONS
from experiments.work.changes import git, uncommitted_changes

EXPORTED_FROM = "GRL_COMMIT"  # says which commit a copy without .git is of
_PACKAGES = ("torch", "torchvision", "numpy", "mlflow", "optuna", "pandas")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


@cache
def describe_environment() -> dict[str, str]:
    """Tags for commit, uncommitted changes, command, hardware and versions."""
    versions = [f"python {platform.python_version()}"]
    installed = {found.name.lower() for found in importlib.metadata.distributions()}  # a worker needs no MLflow
    versions += [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES if name in installed]
    changes = uncommitted_changes()
    return {
        COMMIT: git("rev-parse", "HEAD").decode().strip() or os.environ.get(EXPORTED_FROM, "unknown"),
        DIRTY: str(bool(changes)).lower(),
        COMMAND: launched_as(),
        HARDWARE: f"{_processor()}, {os.cpu_count()} cores",
        VERSIONS: ", ".join(versions),
    } | ({DIFF: hashlib.sha256(changes.patch).hexdigest()[:16]} if changes.patch else {})


def describe_datasets(pair: DomainPair, reads: str) -> list[dict[str, Any]]:
    """What a method that `reads` "source", "source and target" or "target labels" is trained on.

    Returns:
        For each training split: domain, role, number of samples, shape and type of one, whether its labels are read.
    """
    source = {"domain": pair.source_name, "role": "source", "labels": True, **_describe_inputs(pair.source.inputs)}
    target = {
        "domain": pair.target_name,
        "role": "target",
        "labels": reads == "target labels",
        **_describe_inputs(pair.target.inputs),
    }
    return {"source": [source], "source and target": [source, target], "target labels": [target]}[reads]


def _describe_inputs(inputs: Tensor) -> dict[str, Any]:
    return {"count": len(inputs), "shape": list(inputs.shape[1:]), "dtype": str(inputs.dtype).removeprefix("torch.")}


def launched_as() -> str:
    """The command line as a person would type it again."""
    program = Path(sys.argv[0])
    start = f"python -m {program.parent.name}" if program.name == "__main__.py" else program.name
    return shlex.join([*start.split(), *sys.argv[1:]])
