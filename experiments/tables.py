"""The building block of tables: the same recipe under several methods and seeds."""

import dataclasses

from experiments.errors import BadInput
from experiments.experiment import Experiment


def across_methods(recipe: Experiment, seeds: int) -> list[Experiment]:
    """DANN between its two anchors under one recipe, for seeds 0 to seeds - 1; the longest runs first."""
    if seeds < 1:
        raise BadInput(f"seeds must be >= 1, got {seeds}")
    return [
        dataclasses.replace(recipe.with_method(method), seed=seed)
        for method in ("dann", "source_only", "target_only")
        for seed in range(seeds)
    ]
