"""Where and with what a run was made; recorded as tags with every run."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

from experiments.record import COMMAND, COMMIT, DIRTY, HARDWARE, ROOT, VERSIONS

_PACKAGES = ("torch", "torchvision", "numpy", "mlflow", "optuna", "pandas")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


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
    return {
        COMMIT: _git("rev-parse", "HEAD") or "unknown",
        DIRTY: str(bool(_git("status", "--porcelain", "--untracked-files=no"))).lower(),
        COMMAND: launched_as(),
        HARDWARE: f"{_processor()}, {os.cpu_count()} cores, cpu",
        VERSIONS: ", ".join(versions),
    }


def launched_as() -> str:
    """The command line as a person would type it again."""
    program = Path(sys.argv[0])
    start = f"python -m {program.parent.name}" if program.name == "__main__.py" else program.name
    return shlex.join([*start.split(), *sys.argv[1:]])
