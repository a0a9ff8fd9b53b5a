"""The figures of the catalogue beside curves and features: what they draw, and when they draw nothing."""

import io
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from experiments.record import names
from experiments.validators import LAST, VALIDATORS
from results.cells import CELL, summarise
from results.drawing import FIGURES
from results.drawing.base import Material, to_png, to_svg
from results.drawing.ranks import list_cliques, rank
from results.drawing.validators import choose_all
from results.judging import judge, score_steps
from results.statistics import compare
from tests.support.recorded_runs import describe_run, describe_table, make_curves, make_evaluations, make_shown, report

TARGETS = {"source_only": (0.5, 0.6, 0.7), "dann": (0.7, 0.9, 0.8), "target_only": (1.0, 1.0, 1.0)}


def material(*described: dict[str, dict], shown: bool = True) -> Material:
    runs = report(*described)
    curves = [
        make_curves(run["metric.target_accuracy"], adversarial=run["method"] == "dann", seed=run["seed"]).assign(
            run_id=run_id
        )
        for run_id, run in zip(runs.index, runs.to_dict("records"), strict=True)
    ]
    seen = make_evaluations() | (make_shown() if shown else {})
    cells = summarise(runs).merge(compare(runs)[0], on=CELL, how="left")
    return Material(runs, cells, pd.concat(curves, ignore_index=True), lambda run_id: seen)


def alphas() -> list[dict[str, dict]]:
    return describe_table(TARGETS) + [
        describe_run("a_to_b", "dann", seed, 0.6, **{"method.alpha.gamma": "5.0"}) for seed in range(3)
    ]


def many() -> list[dict[str, dict]]:
    return [
        run
        for number in range(4)
        for run in describe_table(
            {method: (0.5 + 0.1 * place,) for place, method in enumerate(("source_only", "dann", "cdan", "mdd"))},
            f"s{number}_to_t{number}",
        )
    ]


def drawn(name: str, *described: dict[str, dict]) -> dict[str, Figure]:
    return dict(FIGURES[name](material(*described)))


@pytest.mark.parametrize(
    ("name", "described", "files"),
    [
        ("curves", describe_table(TARGETS), ["a_to_b curves"]),
        ("features", describe_table(TARGETS), ["a_to_b features"]),
        ("gaps", describe_table(TARGETS), ["gaps"]),
        ("gaps", describe_table({"dann": (0.5,)}), []),
        ("seeds", describe_table(TARGETS), ["a_to_b seeds"]),
        ("schedules", alphas(), ["a_to_b schedules"]),
        ("schedules", describe_table(TARGETS), []),
        ("validators", describe_table(TARGETS), ["a_to_b validators"]),
        ("boundaries", describe_table(TARGETS), ["a_to_b boundaries"]),
        ("boundaries", describe_table({"target_only": (0.5,)}), []),
        ("confusions", describe_table(TARGETS), ["a_to_b confusions"]),
        ("samples", describe_table(TARGETS), ["a_to_b samples"]),
        ("samples", describe_table({"dann": (0.5,)}), []),
        ("study", many(), ["study"]),
        ("study", describe_table({"target_only": (0.5,)}), []),
        ("ranks", many(), ["ranks"]),
        ("ranks", describe_table(TARGETS), []),
    ],
)
def test_every_figure_is_drawn_where_it_says_something(name: str, described: list, files: list[str]) -> None:
    figures = drawn(name, *described)
    assert list(figures) == files
    for figure in figures.values():
        pixels = np.asarray(Image.open(io.BytesIO(to_png(figure, dpi=40))))
        assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 20


@pytest.mark.parametrize("name", ["boundaries", "confusions"])
def test_a_long_name_stays_beside_its_panel(name: str) -> None:
    fields = {"method.alpha.gamma": "5.0", "method.domain_rate": "alpha"}
    described = [*describe_table(TARGETS), describe_run("a_to_b", "dann", 0, 0.6, **fields)]
    [figure] = drawn(name, *described).values()
    FigureCanvasAgg(figure).draw()
    for axis in figure.axes:
        panel, heading, title = (each.get_window_extent() for each in (axis, axis.yaxis.label, axis._left_title))
        assert panel.y0 <= heading.y0
        assert heading.y1 <= panel.y1
        assert title.x1 <= panel.x1 + 20


@pytest.mark.parametrize("name", ["boundaries", "confusions", "samples"])
def test_what_was_not_recorded_is_not_drawn(name: str) -> None:
    assert list(FIGURES[name](material(*describe_table(TARGETS), shown=False))) == []


def test_confusions_are_shares_of_the_true_class_over_all_seeds() -> None:
    panels = drawn("confusions", *describe_table(TARGETS))["a_to_b confusions"].axes[:3]
    counts = make_shown()[names.TARGET_CONFUSION][-1]
    assert [panel.get_title(loc="left").split(":")[0] for panel in panels] == ["source only", "DANN", "target only"]
    seeds = [panel.get_title(loc="left").split(", ")[1] for panel in panels]
    assert seeds == [f"n = {len(accuracies)}" for accuracies in TARGETS.values()]
    for panel in panels:
        np.testing.assert_allclose(panel.images[0].get_array(), counts / counts.sum(1, keepdims=True))
    texts = [text.get_text() for text in panels[0].texts]
    assert texts[0] == f"{100 * counts[0, 0] / counts[0].sum():.0f}"


def test_confusions_that_were_not_recorded_are_named() -> None:
    table = material(*describe_table(TARGETS))
    seen, missing = make_evaluations() | make_shown(), [*table.runs.index[:3], table.runs.index[4]]
    read = replace(table, read_evaluations=lambda run_id: None if run_id in missing else seen)
    [(_, figure)] = FIGURES["confusions"](read)
    assert figure.get_suptitle() == "a → b: target test split\nnot recorded: source only, DANN (1 of 3 seeds)"
    [complete] = drawn("confusions", *describe_table(TARGETS)).values()
    assert complete.get_suptitle() == "a → b: target test split"


def test_every_method_has_its_confusions() -> None:
    methods = [f"m{number}" for number in range(8)]
    [figure] = drawn("confusions", *describe_table(dict.fromkeys(methods, (0.5,)))).values()
    titles = [axis.get_title(loc="left").split(":")[0] for axis in figure.axes]
    assert [title.lower() for title in titles if title] == methods


def test_samples_say_which_prediction_is_wrong() -> None:
    figure = drawn("samples", *describe_table(TARGETS))["a_to_b samples"]
    shown = make_shown()
    guesses = shown[names.SHOWN_LOGITS][-1].argmax(1)
    for axis, guess, label in zip(figure.axes, guesses, shown[names.SHOWN_LABELS], strict=False):
        assert axis.get_title() == f"is {label}"
        mark = "✓" if guess == label else "✗"
        assert [text.get_text().split(" (")[0] for text in axis.texts] == [f"{line} {mark} {guess}" for line in "ab"]


def test_boundaries_lie_where_predictions_change() -> None:
    figure = drawn("boundaries", *describe_table(TARGETS))["a_to_b boundaries"]
    labels, _, domains, units = figure.axes[4:8]  # of DANN
    [label_line], [domain_line] = ([c for c in axis.collections if c.get_edgecolor().tolist() == [[0, 0, 0, 1]]][:1]
                                   for axis in (labels, domains))  # fmt: skip
    assert np.abs(label_line.get_paths()[0].vertices[:, 0]).max() < 1e-6  # x = 0
    assert np.abs(domain_line.get_paths()[0].vertices[:, 1]).max() < 1e-6  # y = 0
    assert len(units.lines) == 1  # a unit without a weight has no line
    assert "no domain classifier" not in [text.get_text() for text in domains.texts]


def test_equal_figures_give_equal_vectors() -> None:
    contents = [to_svg(*drawn("gaps", *describe_table(TARGETS)).values()) for _ in range(2)]
    assert contents[0] == contents[1]
    assert b"<svg" in contents[0]


def test_gaps_stand_between_their_anchors() -> None:
    [axis] = drawn("gaps", *describe_table(TARGETS))["gaps"].axes
    assert [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"] == [pytest.approx(0.5)]  # type: ignore[index]
    assert axis.get_title(loc="left") == "DANN\nn = 3 seeds"
    assert len(axis.get_yticklabels()) == 1


def test_the_seeds_of_a_gap_are_those_that_both_anchors_have() -> None:
    [axis] = drawn("gaps", *describe_table(TARGETS | {"target_only": (1.0, 1.0)}))["gaps"].axes
    assert axis.get_title(loc="left") == "DANN\nn = 2 seeds"


def test_gaps_have_a_panel_a_method_and_a_line_a_pair() -> None:
    scores = {"source_only": (0.5,), "dann": (0.7,), "cdan": (0.8,), "target_only": (1.0,)}
    described = [run for n in range(12) for run in describe_table(scores, f"s{n}_to_t{n}")]
    axes = drawn("gaps", *described)["gaps"].axes
    assert [axis.get_title(loc="left").splitlines()[0] for axis in axes] == ["CDAN", "DANN"]
    for axis, gap in zip(axes, (0.6, 0.4), strict=True):
        dots = [line for line in axis.lines if line.get_marker() == "o"]
        assert [line.get_xdata()[0] for line in dots] == [pytest.approx(gap)] * 12  # type: ignore[index]
        assert [line.get_ydata()[0] for line in dots] == list(range(12))  # type: ignore[index]


def test_pairs_of_which_there_is_no_gap_are_named_below() -> None:
    close = {"source_only": (0.5,), "dann": (0.7,), "target_only": (0.51,)}
    described = [*describe_table(TARGETS), *describe_table(close, "c_to_d")]
    [figure] = drawn("gaps", *described).values()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a → b"]
    said = " ".join(figure.get_supxlabel().split())
    assert said.endswith("no gap where source only and target only are less than .020 apart: c → d")
    assert "no gap" not in next(iter(drawn("gaps", *describe_table(TARGETS)).values())).get_supxlabel()


def test_every_seed_is_a_dot_and_the_mean_a_bar() -> None:
    [axis] = drawn("seeds", *describe_table(TARGETS))["a_to_b seeds"].axes
    dots = {line.get_ydata()[0]: list(line.get_xdata()) for line in axis.lines if line.get_marker() == "o"}  # type: ignore[index,arg-type]
    bars = {line.get_ydata()[0]: line.get_xdata()[0] for line in axis.lines if line.get_marker() == "|"}  # type: ignore[index]
    assert dots[-1] == [0.7, 0.9, 0.8]  # below source only
    assert bars[-1] == pytest.approx(0.8)
    assert [text.get_text() for text in axis.get_yticklabels()] == ["source only", "DANN", "target only"]


def test_schedules_stand_over_the_accuracy_they_gave() -> None:
    figure = drawn("schedules", *alphas())["a_to_b schedules"]
    right = figure.axes[1]
    points = [line for line in right.lines if line.get_marker() == "o"]
    assert sorted(float(line.get_ydata()[0]) for line in points) == pytest.approx([0.6, 0.8])  # type: ignore[index]
    assert [line.get_ydata()[0] for line in right.lines if line.get_linestyle() == "--"] == [  # type: ignore[index]
        pytest.approx(0.6), 1.0,
    ]  # fmt: skip


def test_what_the_study_has_judged_is_drawn_as_it_is() -> None:
    table = material(*many())
    by_pair = judge(table.runs, score_steps(table.curves), "pair").assign(regret=0.125)
    [(_, figure)] = FIGURES["study"](replace(table, cells=by_pair))
    [*_, bar] = figure.axes[0].lines[:-1]
    assert list(bar.get_xdata()) == [0.125]  # type: ignore[arg-type]


SURE = ("negative_entropy", "information_maximisation", "nuclear_norm")


def test_what_each_validator_chooses() -> None:
    # Target accuracy rises to the last step; the predictions are sure at step 60 only.
    curves = make_curves(0.8, adversarial=True).assign(run_id="run0")
    [row] = choose_all(curves).to_dict("records")
    assert set(row) == {"oracle", LAST, *(name for name, each in VALIDATORS.items() if not each.compares)}
    assert {name: row[name] for name in ("oracle", LAST, "source_accuracy", *SURE)} == pytest.approx(
        {
            "oracle": 0.8,
            "last": 0.8,
            "source_accuracy": 0.8,  # equal at all steps: the last
            "negative_entropy": 0.48,
            "information_maximisation": 0.48,
            "nuclear_norm": 0.48,
        }
    )


def test_a_heading_keeps_its_distance_from_the_panel_above() -> None:
    [figure] = drawn("validators", *describe_table(TARGETS)).values()
    FigureCanvasAgg(figure).draw()
    for above, below in zip(figure.axes, figure.axes[4:], strict=False):
        distance = above.get_tightbbox().y0 - below._left_title.get_window_extent().y1
        assert distance > 0.08 * figure.dpi  # inches


def test_ranks_by_hand() -> None:
    # Demšar (2006), table 5a: the critical difference of q = 2.343, k = 3 of two-tailed Nemenyi at .05.
    scores = pd.DataFrame({"a": [0.9, 0.8, 0.9], "b": [0.8, 0.7, 0.9], "c": [0.1, 0.1, 0.1]})
    ranks, _, critical = rank(scores)
    assert ranks.to_dict() == pytest.approx({"a": (1 + 1 + 1.5) / 3, "b": (2 + 2 + 1.5) / 3, "c": 3.0})
    assert critical == pytest.approx(2.343 * math.sqrt(3 * 4 / (6 * 3)), rel=1e-3)


def test_bars_join_the_largest_groups_that_are_not_told_apart() -> None:
    assert list_cliques(pd.Series([1.0, 1.5, 2.4, 4.0]), critical=1.0) == [(1.0, 1.5), (1.5, 2.4)]
    assert list_cliques(pd.Series([1.0, 1.5, 1.9]), critical=1.0) == [(1.0, 1.9)]
    assert list_cliques(pd.Series([1.0, 2.5]), critical=1.0) == []


def test_the_chance_line_is_one_over_the_classes() -> None:
    target = drawn("curves", *describe_table(TARGETS))["a_to_b curves"].axes[0]
    assert [line.get_ydata()[0] for line in target.lines if line.get_linestyle() == "--"] == [1 / 3]  # type: ignore[index]
