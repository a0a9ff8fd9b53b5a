"""Where and with what a run was made; recorded with every run."""

import hashlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from datasets import DomainPair
from experiments.record.files import write_atomically
from experiments.record.names import CHANGES, COMMAND, COMMIT, DIFF, DIRTY, HARDWARE, ROOT, VERSIONS

_PACKAGES = ("torch", "torchvision", "numpy", "mlflow", "optuna", "pandas")
_PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv")  # whatever the user's own settings


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""


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
    versions += [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    changes = uncommitted_changes()
    return {
        COMMIT: _git("rev-parse", "HEAD").decode().strip() or "unknown",
        DIRTY: str(bool(changes)).lower(),
        COMMAND: launched_as(),
        HARDWARE: f"{_processor()}, {os.cpu_count()} cores",
        VERSIONS: ", ".join(versions),
    } | ({DIFF: hashlib.sha256(changes).hexdigest()[:16]} if changes else {})


@cache
def uncommitted_changes() -> bytes:
    """What `git apply` adds to the commit to give the tracked files of this process; empty when all is committed.

    Bytes, because a patch of a file that is not UTF-8 must still apply. Taken once, as the code was read once.
    """
    return _git("-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false", "diff", "HEAD", *_PLAIN)


def keep_changes(folder: Path) -> None:
    """Put what is not committed into the run's folder, in place of what an earlier start may have left there."""
    if changes := uncommitted_changes():
        write_atomically(folder / CHANGES, changes)
    else:
        (folder / CHANGES).unlink(missing_ok=True)


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
