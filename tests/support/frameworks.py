"""Run grl's tests beside JAX, TensorFlow or the trainers of the recipes, or on the oldest PyTorch that is admitted.

    python -m tests.support.frameworks jax tensorflow trainers oldest

The first three lay packages over the present environment; the last builds one of its own. uv fetches what is
missing and leaves the present environment as it is.
"""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
OVERLAYS = {
    "jax": (["jax"], "tests/test_grl_jax.py"),
    "tensorflow": (["tensorflow-cpu"], "tests/test_grl_tensorflow.py"),
    "trainers": (
        ["lightning", "transformers", "accelerate", f"torch=={version('torch').split('+')[0]}"],
        "tests/test_grl_recipes.py",
    ),
}
GRL_TESTS = [
    *("reversal", "conformance", "combinations", "tricks", "schedules", "losses", "doctor", "recipes"),
    "missing_frameworks",
]
OLDEST_TOOLS = [
    "numpy<2.3",
    "pytest>=9",
    "pytest-timeout",
    "hypothesis",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "setuptools",
]


def find_oldest_torch() -> str:
    """Return the lower bound of torch in pyproject.toml, as `X.Y.0`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (bound,) = (m[1] for d in project["dependencies"] if (m := re.fullmatch(r"torch>=([\d.]+)", d)))
    return bound if bound.count(".") == 2 else f"{bound}.0"


def build_command(name: str) -> list[str]:
    """Return the command that runs the tests in the environment of that name."""
    uv = [sys.executable, "-m", "uv", "run", "--no-project", "--python"]
    pytest = ["python", "-m", "pytest", "-q"]
    if name in OVERLAYS:
        packages, test = OVERLAYS[name]
        return [*uv, sys.executable, *_with(packages), *pytest, test]
    if name == "oldest":
        withs = _with([f"torch=={find_oldest_torch()}", *OLDEST_TOOLS])
        tests = [f"tests/test_grl_{test}.py" for test in GRL_TESTS]
        # An older PyTorch warns of other things, and its own warnings are not ours to mend.
        return [*uv, "3.11", "--isolated", *withs, *pytest, "-W", "default", "--import-mode=importlib", *tests]
    raise SystemExit(f"name must be one of {', '.join([*OVERLAYS, 'oldest'])}, got {name}")


def _with(packages: list[str]) -> list[str]:
    return [part for package in packages for part in ("--with", package)]


def main(names: list[str]) -> int:
    """Run each; return the first failure."""
    for name in names or [*OVERLAYS, "oldest"]:
        command = build_command(name)
        print("$ " + " ".join(command), flush=True)
        code = subprocess.run(command, cwd=ROOT).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
