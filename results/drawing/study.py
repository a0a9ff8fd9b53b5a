"""Figure of all runs: regret and rank correlation of each validator, a dot a pair."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from results.cells import UPPER
from results.drawing.base import GREY, Material, styled
from results.judging import average, judge, score_steps


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """What choosing a step by each validator costs, and how its score ranks steps; target_only left out."""
    by_pair = material.cells
    if "validator" not in by_pair:  # of another table than the study
        runs = material.runs[material.runs["method"] != UPPER]
        by_pair = judge(runs, score_steps(material.curves[material.curves["run_id"].isin(runs.index)]), "pair")
    by_pair = by_pair[by_pair["runs"] > 0]
    if by_pair.empty:
        return
    overall = average(by_pair).sort_values("regret", ascending=False)
    with styled():
        figure = Figure(figsize=(9, 1.4 + 0.42 * len(overall)), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axis, number, heading in (
            (panels[0], "regret", "regret of the chosen step"),
            (panels[1], "correlation", "rank correlation with target accuracy"),
        ):
            for height, row in enumerate(overall.to_dict("records")):
                values = by_pair[by_pair["validator"] == row["validator"]][number].dropna()
                spread = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(len(values))
                axis.plot(values, height + spread, "o", color="#0072B2", alpha=0.55, markersize=4.5)
                axis.plot(row[number], height, "|", color="black", markersize=17, markeredgewidth=2.2)
            axis.axvline(0, color=GREY, linewidth=1, linestyle="--")
            axis.set_xlabel(heading)
            axis.grid(axis="y", visible=False)
        named = zip(overall["validator"], overall["pairs"], strict=True)
        panels[0].set_yticks(range(len(overall)), [f"{name.replace('_', ' ')} ({pairs})" for name, pairs in named])
        heading = "a dot a pair (their number), a bar their mean; the smallest mean regret on top"
        figure.suptitle(heading, x=0.01, ha="left")
    yield "study", figure
