"""Figure of one pair: what choosing a checkpoint without target labels costs, run by run."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from experiments.record import names
from experiments.validators import LAST, VALIDATORS
from results.cells import UPPER
from results.drawing.base import GREY, Material, colour_methods, share_panels, styled
from results.judging import choose_steps, score_steps
from results.words import fraction, title_method

COLUMNS = 4


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """Target accuracy of the step that each validator chooses, over that of the best step; target_only left out."""
    for place, title, part in material.by_recipe():
        runs = part.runs[part.runs["method"] != UPPER]
        chosen = choose_all(part.curves[part.curves["run_id"].isin(runs.index)])
        if chosen.empty:
            continue
        methods, colours = runs["method"], colour_methods(runs["method"])
        scorers = [str(name) for name in chosen if name != "oracle"]
        with styled():
            columns = min(len(scorers), COLUMNS)
            rows = -(-len(scorers) // columns)
            figure = Figure(figsize=(2.4 * columns + 0.5, 3.15 * rows + 0.4), layout="constrained")
            panels = share_panels(figure, len(scorers), columns)
            low = float(chosen.to_numpy().min()) - 0.02
            for axis, scorer in zip(panels, scorers, strict=True):
                axis.plot([low, 1.01], [low, 1.01], color=GREY, linewidth=1, linestyle="--")
                for method, of_method in chosen.groupby(methods.reindex(chosen.index)):
                    axis.plot(
                        of_method["oracle"], of_method[scorer], "o", color=colours[str(method)], alpha=0.7,
                        markersize=5, label=title_method(str(method)),
                    )  # fmt: skip
                regret = float((chosen["oracle"] - chosen[scorer]).mean())
                axis.set_title(f"{scorer.replace('_', ' ')}\nregret {fraction(regret)}", loc="left", fontsize=9.5)
                axis.set_aspect("equal")
            for axis in panels[-columns:]:
                axis.set_xlabel("best step (oracle)")
            for axis in panels[::columns]:
                axis.set_ylabel("chosen step")
            handles, labels = panels[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6), fontsize=9)
            figure.suptitle(f"{title}: target accuracy by choice of the step, {len(chosen)} runs", x=0.01, ha="left")
        yield f"{place} validators", figure


def choose_all(curves: pd.DataFrame) -> pd.DataFrame:
    """The target accuracy that each selection reports: a row a run, a column a selection, and `oracle`.

    Args:
        curves: columns run_id, step, metric, value.
    """
    scores = score_steps(curves)
    if scores.empty:
        return pd.DataFrame()
    accuracy = scores[names.TARGET_ACCURACY]
    chosen = {"oracle": accuracy.groupby("run_id").max()}
    for name in (LAST, *(name for name in VALIDATORS if name in scores)):
        chosen[name] = accuracy[choose_steps(scores[name])].droplevel("step")
    return pd.DataFrame(chosen)
