"""One run: an `Experiment` goes in, a recorded result comes out.

from experiments import Experiment, run

result = run(Experiment(pair="moons", network=Moons(), steps=1000))
"""

from typing import Any

__all__ = ["Experiment", "run"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    # Late, because the record's names are read without PyTorch.
    if name == "Experiment":
        from experiments.experiment import Experiment

        return Experiment
    if name == "run":
        from experiments.work.notebook import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
