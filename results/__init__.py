"""Recorded runs become tables, figures and a report; nothing here trains, and nothing here imports torch.

from results import load_curves, load_runs

runs = load_runs("demo")
curves = load_curves(runs[runs["param.method"] == "dann"])
"""

from typing import Any

__all__ = ["load_curves", "load_runs"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    # Late, because pandas takes a second, and the commands answer `--help` at once.
    if name in __all__:
        from results import loading

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
